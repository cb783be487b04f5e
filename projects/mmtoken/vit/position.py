"""Absolute position embeddings: learned or fixed, and at another grid than they are of, resized or
tiled.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from math import isqrt

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmtoken.errors import UserError

from .aux_tokens import found_layout
from .known import known

# DINOv2's `interpolate_offset`, in patches.
OFFSET = 0.1


def make_position(kind: str | None, count: int, channels: int) -> nn.Parameter | None:
    """The position embedding of a backbone that is built.

    Args:
        kind: 'learned', zeros until they are initialized, 'sinusoidal', which does not learn, or
            None for no embedding.
        count: A + H·W.
        channels: C.

    Returns:
        (1, A + H·W, C), or None.
    """
    if kind is None:
        return None
    if kind == 'learned':
        return nn.Parameter(torch.zeros(1, count, channels))
    return nn.Parameter(sinusoidal_position(count, channels), requires_grad=False)


def sinusoidal_position(count: int, channels: int) -> Tensor:
    """Sines and cosines of positions in a sequence (Vaswani et al., arXiv 1706.03762; as in the
    released code of T2T-ViT, where the class token is the first position and patches follow row by
    row).

    Channels 2i and 2i + 1 of position p are the sine and cosine of p / 10000^(2i/C).

    Args:
        count: N.
        channels: C.

    Returns:
        (1, N, C).
    """
    channel = torch.arange(channels)
    periods = 10000 ** (2 * (channel // 2).double() / channels)
    angles = torch.arange(count)[:, None] / periods
    table = torch.where(channel % 2 == 0, angles.sin(), angles.cos())
    return table.to(torch.get_default_dtype()).unsqueeze(0)


def resize_position(
    pos_embed: Tensor,
    source: tuple[int, int],
    grid: tuple[int, int],
    num_aux: int,
    mode: str = 'bicubic',
) -> Tensor:
    """Bring position embeddings to another grid, unless they are of that size already.

    Args:
        pos_embed: (1, A + H′·W′, C).
        source: (H′, W′).
        grid: (H, W); of an image of any size where a graph is exported, so that it is resized even
            to the size that it has, which leaves it as it is.
        num_aux: A.
        mode: 'bicubic' stretches the grid; 'antialias' too, as timm and DINOv2 with registers do,
            with a wider kernel where it shrinks and another cubic; 'offset' as DINOv2 without
            registers, by a tenth of a patch too far; 'tile' repeats it from the top left and cuts
            the rest.

    Returns:
        (1, A + H·W, C).
    """
    if all(known(a == b) for a, b in zip(source, grid, strict=True)):
        return pos_embed
    # (1, H′·W′, C) → (1, C, H′, W′) → (1, C, H, W)
    maps = pos_embed[:, num_aux:].transpose(1, 2).unflatten(2, source)
    if mode == 'tile':
        rows, columns = (
            torch.arange(side, device=maps.device) % period
            for side, period in zip(grid, source, strict=True)
        )
        maps = maps[:, :, rows[:, None], columns]
    else:
        how = dict(size=grid)
        if mode == 'offset':
            how = dict(scale_factor=[(a + OFFSET) / b for a, b in zip(grid, source, strict=True)])
        # Bicubic knows float32 alone.
        maps = F.interpolate(maps.float(), mode='bicubic', antialias=mode == 'antialias', **how)
        maps = maps.to(pos_embed.dtype)
    return torch.cat([pos_embed[:, :num_aux], maps.flatten(2).transpose(1, 2)], dim=1)


def adapt_position(
    pos_embed: Tensor,
    source: dict[str, int],
    own: Tensor,
    layout: dict[str, int],
    grid: tuple[int, int],
    mode: str = 'bicubic',
) -> Tensor:
    """Make position embeddings of another model fit: resize or tile the grid, and give each
    auxiliary token its own row.

    Where the other model has registers, they may have no position (as in DINOv2), or no auxiliary
    token may (as with timm's `no_embed_class`): zeros are the same. A token that the other model
    lacks keeps the row that it has here.

    A state dict does not say which grid its positions are of. As many positions as this grid has
    are taken for its own: those of an 8×8 grid would pass as 4×16 ones, in the wrong places. A
    warning says so. Resize such weights yourself before loading them.

    Args:
        pos_embed: (1, A″ + H′·W′, C), of a square grid H′ = W′ or of this very grid.
        source: The auxiliary tokens of the other model, as of `aux_layout`, A″ of them with a
            position.
        own: The position embedding that is to be replaced, (1, A + H·W, C).
        layout: The auxiliary tokens here, A of them.
        grid: (H, W) to resize to.
        mode: As in `resize_position`.

    Returns:
        (1, A + H·W, C).

    Raises:
        UserError: If the embeddings are of an unknown, non-square grid.
    """
    placed, source_grid = _placed(pos_embed.shape[1], source, grid)
    if source_grid == grid:
        warn_of_square('pos_embed', grid)
    count = sum(placed.values())
    given = dict(zip(placed, pos_embed[:, :count].split([*placed.values()], dim=1), strict=True))
    kept = own[:, : sum(layout.values())].to(pos_embed).split([*layout.values()], dim=1)
    rows = []
    for name, row in zip(layout, kept, strict=True):
        if source.get(name) == layout[name]:
            row = given.get(name, torch.zeros_like(row))
        rows.append(row)
    patches = resize_position(pos_embed[:, count:], source_grid, grid, 0, mode)
    return torch.cat([*rows, patches], dim=1)


def _placed(
    rows: int, source: dict[str, int], grid: tuple[int, int]
) -> tuple[dict[str, int], tuple[int, int]]:
    """Which auxiliary tokens have a row among some positions, and the grid of the others."""
    choices = [source]
    if 'reg_tokens' in source:
        choices += [{name: 1 for name in source if name != 'reg_tokens'}, {}]
    for square in (False, True):
        for tokens in choices:
            patches = rows - sum(tokens.values())
            side = isqrt(max(patches, 0))
            found = (side, side) if square else grid
            if patches == found[0] * found[1]:
                return tokens, found
    raise UserError(
        f'pos_embed has {rows - sum(source.values())} patch positions, '
        f'neither the grid {grid[0]}x{grid[1]} of this backbone nor a square one; '
        'build the backbone at the img_size it was trained on'
    )


def adapt_position_on_load(module, state_dict: dict, prefix: str = '', *_) -> None:
    """A `load_state_dict` pre-hook that adapts `pos_embed` to the backbone that loads it.

    Which auxiliary tokens the source had is read off its `cls_token`, `dist_token` and
    `reg_tokens`. Positions of another width are left to torch, which refuses them.
    """
    key, own = f'{prefix}pos_embed', module.pos_embed
    if own is None or key not in state_dict or state_dict[key].shape[2] != own.shape[2]:
        return
    own = own.detach()
    source, layout = found_layout(state_dict, prefix), module.aux_layout
    grid, given = module.patch_resolution, state_dict[key]
    if given.shape == own.shape and source.items() <= layout.items():
        warn_of_square('pos_embed', grid)
        return
    mode = module.interpolate_mode
    state_dict[key] = adapt_position(given, source, own, layout, grid, mode)
    log_resized([('pos_embed', given.shape, own.shape)])


def warn_of_square(name: str, grid: tuple[int, int]) -> None:
    """Warn where positions that are taken for those of a grid may be of a square one.

    Args:
        name: What the positions are called.
        grid: (H, W).
    """
    side = isqrt(grid[0] * grid[1])
    if grid[0] != grid[1] and side**2 == grid[0] * grid[1]:
        print_log(
            f'{name} is taken for positions of the grid {grid[0]}x{grid[1]} of this backbone; '
            f'weights do not say so, and a grid of {side}x{side} has as many. If they are of '
            'that one, resize them with mmtoken.vit.position.resize_position before they load',
            logger='current',
            level=logging.WARNING,
        )


def log_resized(resized: Iterable[tuple[str, torch.Size, torch.Size]]) -> None:
    """Say what of weights was made to fit while they are loaded.

    Args:
        resized: Name, and shapes of before and after; those alike are counted.
    """
    counted = Counter((name, tuple(old), tuple(new)) for name, old, new in resized if old != new)
    if counted:
        said = [f'{count} {name} {old} to {new}' for (name, old, new), count in counted.items()]
        print_log(f'resized to fit the backbone: {", ".join(said)}', logger='current')
