"""What is added to the scores within windows: relative positions, and who may not see whom."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

# The released code's; not minus infinity, and below e^-60 of an attention for ordinary scores.
FORBIDDEN = -100.0


def relative_index(size: int) -> Tensor:
    """Which row of a table of relative positions each pair of places of a window has.

    Args:
        size: Places per window side, s.

    Returns:
        (s², s²): (yᵢ − yⱼ + s − 1)·(2s − 1) + (xᵢ − xⱼ + s − 1) of query i and key j.
    """
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing='ij')
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None] + size - 1
    right = columns[:, None] - columns[None] + size - 1
    return down * (2 * size - 1) + right


def pick_bias(table: Tensor, index: Tensor) -> Tensor:
    """The bias of each pair of places, ((2s − 1)², h) → (1, h, s², s²)."""
    # (s²·s², h) → (s², s², h) → (h, s², s²)
    return table[index.flatten()].unflatten(0, index.shape).permute(2, 0, 1).unsqueeze(0)


def shift_mask(grid: tuple[int, int], size: int, shifts: tuple[int, int], like: Tensor) -> Tensor:
    """What keeps tokens apart that only rolling the grid has made neighbors.

    Args:
        grid: (H, W), whole windows.
        size: Places per window side, s.
        shifts: By how many rows and columns the grid is rolled.
        like: Whose device and type the mask has.

    Returns:
        (R·Q, 1, s², s²), 0 or `FORBIDDEN`.
    """
    regions = torch.as_tensor(_regions(tuple(map(int, grid)), size, shifts), device=like.device)
    apart = regions.unsqueeze(1) != regions.unsqueeze(2)
    return (FORBIDDEN * apart).to(like.dtype).unsqueeze(1)


@functools.lru_cache(maxsize=64)
def _regions(grid: tuple[int, int], size: int, shifts: tuple[int, int]) -> np.ndarray:
    """Which of nine regions each place of each window belongs to, (R·Q, s²).

    An array: a tensor would be kept as what it is while a graph is exported.
    """
    # Rows 0 … H − s − 1, H − s … H − shift − 1 and the rest are apart, and columns likewise.
    rows, columns = (
        np.digitize(np.arange(side), [side - size, side - shift] if shift else []).astype(np.int8)
        for side, shift in zip(grid, shifts, strict=True)
    )
    counts = [side // size for side in grid]
    regions = (3 * rows[:, None] + columns).reshape(counts[0], size, counts[1], size)
    return regions.transpose(0, 2, 1, 3).reshape(-1, size * size)
