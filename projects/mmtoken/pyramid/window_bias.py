"""What is added to the scores within windows: relative positions, and who may not see whom."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake

from mmtoken.vit.windows import window_partition

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
    grid = tuple(map(int, grid))
    # Compilers make a constant of it, and what they look on with is not to be kept.
    made_once = torch.compiler.is_compiling() or is_fake(like) or torch.jit.is_tracing()
    apart = (_apart if made_once else _kept_apart)(grid, size, shifts, like.device)
    return (FORBIDDEN * apart).to(like.dtype).unsqueeze(1)


@functools.lru_cache(maxsize=16)
def _kept_apart(*which: Any) -> Tensor:
    # A tensor of inference would be refused by training.
    with torch.inference_mode(False):
        return _apart(*which)


def _apart(
    grid: tuple[int, int], size: int, shifts: tuple[int, int], device: torch.device
) -> Tensor:
    """Which places of each window may not see each other, (R·Q, s², s²)."""
    regions = _regions(grid, size, shifts).to(device)
    return regions.unsqueeze(1) != regions.unsqueeze(2)


def _regions(grid: tuple[int, int], size: int, shifts: tuple[int, int]) -> Tensor:
    """Which of nine regions each place of each window belongs to, (R·Q, s²)."""
    rows, columns = (_parts(side, size, shift) for side, shift in zip(grid, shifts, strict=True))
    regions = (3 * rows[:, None] + columns).flatten()
    return window_partition(regions[:, None], grid, size).squeeze(-1)


def _parts(side: int, size: int, shift: int) -> Tensor:
    """The three parts of a side that a shift keeps apart: 0 … side − s − 1, side − s … side − shift
    − 1, and the rest; one part without a shift.
    """
    places = torch.arange(side, device='cpu')
    if not shift:
        return torch.zeros_like(places)
    return (places >= side - size).long() + (places >= side - shift).long()
