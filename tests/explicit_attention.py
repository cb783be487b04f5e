"""Attention as the full matrix that the package never forms, for tests to compare with."""

import torch

from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention, TokenViT


def explicit_attention(attention: TokenAttention, tokens: Tokens) -> torch.Tensor:
    """softmax(q·kᵀ/√d) as a full (B, h, N, N) matrix; windows as a block mask."""
    q, k, _ = (
        t.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in attention.qkv(tokens)
    )
    q, k = attention.turn(attention.q_norm(q), attention.k_norm(k), tokens)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if attention.window_size:
        rows, columns = torch.meshgrid(
            *(torch.arange(n) // attention.window_size for n in tokens.grid), indexing='ij'
        )
        window = (rows * 1000 + columns).flatten()
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool)
        allowed[tokens.num_aux :, tokens.num_aux :] = window[:, None] == window[None]
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1)


def pooling_matrix(grid: tuple[int, int], num_aux: int) -> torch.Tensor:
    """What 3x3 pooling of stride 2 makes of the tokens, (A + ⌈H/2⌉·⌈W/2⌉, A + H·W), patch by
    patch; rows sum to 1.
    """
    (height, width), rows = grid, [*torch.eye(num_aux + grid[0] * grid[1])[:num_aux]]
    for top in range(-1, height - 1, 2):
        for left in range(-1, width - 1, 2):
            read = torch.zeros(height, width)
            read[max(top, 0) : top + 3, max(left, 0) : left + 3] = 1
            rows.append(torch.cat([torch.zeros(num_aux), read.flatten() / read.sum()]))
    return torch.stack(rows)


def layers_of(backbone: TokenViT, images: torch.Tensor):
    """Every layer that runs, pooling being one, and the tokens that enter it."""
    tokens = backbone.embed(images)
    for index, layer in enumerate(backbone.layers):
        pool = [backbone.pools[str(index)]] if str(index) in backbone.pools else []
        for module in (*pool, layer):
            yield module, tokens
            tokens = module(tokens)


def explicit_trace(backbone: TokenViT, images: torch.Tensor, trace: torch.Tensor) -> torch.Tensor:
    """The product of ½(Ā + I), and of the means that pooling takes, with a trace (B, N, M)."""
    for layer, tokens in layers_of(backbone, images):
        if not hasattr(layer, 'attn'):
            trace = pooling_matrix(tokens.grid, tokens.num_aux) @ trace
            continue
        # A layer that shares has the matrix of the one before.
        if not layer.attn.shares:
            mean = explicit_attention(layer.attn, tokens.with_(x=layer.ln1(tokens.x))).mean(1)
        trace = (mean @ trace + trace) / 2
    return trace
