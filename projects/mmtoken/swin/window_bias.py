"""What is added to the scores within windows: relative positions, and who may not see whom."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

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


@functools.lru_cache(maxsize=64)
def shift_mask(
    grid: tuple[int, int], size: int, shift: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What keeps tokens apart that only rolling the grid has made neighbors; kept for each size.

    Args:
        grid: (H, W), whole windows.
        size: Places per window side, s.
        shift: By how many the grid is rolled.
        device: Of the mask.
        dtype: Of the mask.

    Returns:
        (R·Q, 1, s², s²), 0 or `FORBIDDEN`.
    """
    # Rows 0 … H − s − 1, H − s … H − shift − 1 and the rest are apart, and columns likewise.
    bands = [
        torch.bucketize(
            torch.arange(side, device=device),
            torch.tensor([side - size, side - shift], device=device),
            right=True,
        )
        for side in grid
    ]
    regions = (3 * bands[0][:, None] + bands[1][None]).reshape(-1, 1)
    # (H·W, 1) → (R·Q, s², 1)
    regions = window_partition(regions, grid, size)
    apart = regions != regions.transpose(1, 2)
    return (FORBIDDEN * apart).to(dtype).unsqueeze(1)
