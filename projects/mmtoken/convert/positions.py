"""Position embeddings of other projects: their grid, and rows for all auxiliary tokens."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor

from mmtoken.errors import UserError

from .rules import Renamed

POSITION = 'backbone.pos_embed'
IN_ONE_ROW = 'the map of positions in one row, as tokens are'


def place_position(
    renamed: Renamed,
    num_aux: int,
    leading: Sequence[int],
    grid: tuple[int, int] | None,
) -> tuple[int, int] | None:
    """Find the grid of the position embedding, and give those auxiliary tokens a row of zeros that
    have none, in place.

    Args:
        renamed: Weights by our names.
        num_aux: A.
        leading: How many of the auxiliary tokens may have a row, the likeliest first; they are the
            first ones.
        grid: (H, W), where the user says so; square by default.

    Returns:
        (H, W); None where there is no embedding.

    Raises:
        UserError: If the rows are of no such grid.
    """
    position = renamed.state.get(POSITION)
    if position is None:
        return None
    rows, channels = position.shape[-2:]
    for count in leading:
        side = isqrt(max(rows - count, 0))
        found = grid or (side, side)
        if rows - count == found[0] * found[1]:
            break
    else:
        wanted = f'a grid of {grid[0]}x{grid[1]} patches' if grid else 'a square grid'
        raise UserError(
            f'pos_embed has {rows} rows, which are not those of {wanted} behind '
            f'{" or ".join(map(str, leading))} tokens; say with --img-size HEIGHT WIDTH what size '
            'of image the weights were trained on'
        )
    if count < num_aux:
        # (1, k + H·W, C) → (1, A + H·W, C)
        own, patches = position.reshape(1, rows, channels).split([count, rows - count], dim=1)
        none = position.new_zeros(1, num_aux - count, channels)
        value = torch.cat([own, none, patches], dim=1)
        why = f'with a row of zeros for {num_aux - count} of the tokens before the patches'
        renamed.change(POSITION, value, why)
    return found


def flatten_map(value: Tensor) -> Tensor:
    """Positions of a map as those of tokens; those that are of tokens already as they are."""
    # (1, C, H, W) → (1, H·W, C)
    return value.flatten(2).transpose(1, 2).contiguous() if value.ndim == 4 else value
