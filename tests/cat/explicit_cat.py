"""CAT's attention as full matrices over the tokens of the grid, which the package never forms."""

import torch
import torch.nn.functional as F

from mmtoken.cat import CrossPatchAttention


def padded_places(grid, size):
    """Rows and columns of the padded grid's places, in one row, and which of them are real."""
    sides = [-(-side // size) * size for side in grid]
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in sides), indexing='ij')
    rows, columns = rows.flatten(), columns.flatten()
    return rows, columns, (rows < grid[0]) & (columns < grid[1])


def pad(x, grid, size):
    """(B, H·W, C) → the padded grid in one row."""
    x = x.unflatten(1, grid)
    return F.pad(x, (0, 0, 0, -grid[1] % size, 0, -grid[0] % size)).flatten(1, 2)


def window_matrix(mixer, x, grid):
    """The head-mean of IPSA's attention over the padded grid, (B, N, N)."""
    size, attention = mixer.window_size, mixer.w_msa
    rows, columns, _ = padded_places(grid, size)
    weight, bias = attention.qkv.weight, attention.qkv.bias
    q, k, _ = F.linear(pad(x, grid, size), weight, bias).chunk(3, dim=-1)
    # (B, N, C) → (B, h, N, d)
    q, k = (t.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in (q, k))
    scale = attention.qk_scale or q.shape[-1] ** -0.5
    down = (rows[:, None] - rows[None]).clamp(1 - size, size - 1) + size - 1
    right = (columns[:, None] - columns[None]).clamp(1 - size, size - 1) + size - 1
    table = attention.relative_position_bias_table[down * (2 * size - 1) + right]
    scores = scale * q @ k.transpose(-2, -1) + table.permute(2, 0, 1)
    window = (rows // size) * 1000 + columns // size
    scores = scores.masked_fill(window[:, None] != window[None], -torch.inf)
    return scores.softmax(dim=-1).mean(dim=1)


def channel_matrix(mixer, x, grid):
    """The channel-mean of CPSA's attention over the padded grid, (B, N, N), between the same places
    of windows.
    """
    size = mixer.window_size
    rows, columns, _ = padded_places(grid, size)
    x = pad(x, grid, size)
    across = -(-grid[1] // size)
    window = (rows // size) * across + columns // size
    place = (rows % size) * size + columns % size
    count = int(window.max()) + 1
    # (B, C, P, s²): of each channel the values of each window.
    patches = torch.zeros(len(x), x.shape[-1], count, size * size, dtype=x.dtype)
    for index in range(x.shape[1]):
        patches[:, :, window[index], place[index]] = x[:, index]
    q, k, _ = mixer.qkv(patches).chunk(3, dim=-1)
    scale = mixer.qk_scale or size**-1.0
    mean = (scale * q @ k.transpose(-2, -1)).softmax(dim=-1).mean(dim=1)
    return mean[:, window][:, :, window] * (place[:, None] == place[None])


def real_matrix(mixer, x, grid):
    """Either attention among tokens that are there, (B, H·W, H·W), rows summing to 1."""
    make = channel_matrix if isinstance(mixer, CrossPatchAttention) else window_matrix
    _, _, real = padded_places(grid, mixer.window_size)
    matrix = make(mixer, x, grid)[:, real][:, :, real]
    return matrix / matrix.sum(dim=-1, keepdim=True)


def merging_matrix(grid):
    """The mean of the tokens of each 2×2 that are there, (⌈H/2⌉·⌈W/2⌉, H·W)."""
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in grid), indexing='ij')
    owner = (rows // 2 * -(-grid[1] // 2) + columns // 2).flatten()
    matrix = (torch.arange(int(owner.max()) + 1)[:, None] == owner[None]).float()
    return matrix / matrix.sum(dim=-1, keepdim=True)


def explicit_trace(backbone, images, trace):
    """The product of ½(Ā + I), and of the means of merging, with a trace (B, N, M)."""
    tokens = backbone.embed(images)
    for pool, block in backbone.steps():
        if pool is not None:
            trace = merging_matrix(tokens.grid) @ trace
            tokens = pool(tokens)
        matrix = real_matrix(block.attn, block.norm1(tokens.x), tokens.grid)
        trace = 0.5 * (matrix @ trace + trace)
        tokens = block(tokens)
    return trace
