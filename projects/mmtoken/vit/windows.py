"""Split a token grid into windows and put it together again."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .known import known


def window_partition(x: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Cut the grid into size×size windows, zero-padded at the bottom and right where it does not
    divide.

    Args:
        x: Patch values, (..., H·W, C).
        grid: (H, W).
        size: Patches per window side, s.

    Returns:
        (..., R·Q, s², C): R = ⌈H/s⌉ rows and Q = ⌈W/s⌉ columns of windows, row by row.
    """
    (height, width), (rows, columns), channels = grid, _counts(grid, size), x.shape[-1]
    # (..., H·W, C) → (..., H, W, C) → (..., R·s, Q·s, C)
    x = x.unflatten(-2, grid)
    if not _fits(grid, size):
        x = F.pad(x, (0, 0, 0, columns * size - width, 0, rows * size - height))
    # (..., R, s, Q, s, C) → (..., R, Q, s, s, C) → (..., R·Q, s², C)
    x = x.unflatten(-3, (rows, size)).unflatten(-2, (columns, size)).transpose(-4, -3)
    return x.reshape(*x.shape[:-5], rows * columns, size * size, channels)


def _fits(grid: tuple[int, int], size: int) -> bool:
    """Whether windows fit the grid exactly; not known where a graph is for images of any size."""
    return all(known(side % size == 0) for side in grid)


def _counts(grid: tuple[int, int], size: int) -> tuple[int, int]:
    """Rows and columns of windows, (R, Q) = (⌈H/s⌉, ⌈W/s⌉)."""
    # Of positive numbers alone, since ONNX rounds quotients of others towards zero.
    return tuple((side + size - 1) // size for side in grid)


def window_reverse(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """The inverse of `window_partition`, padding dropped: (..., R·Q, s², C) → (..., H·W, C)."""
    (height, width), counts = grid, _counts(grid, size)
    # (..., R·Q, s², C) → (..., R, Q, s, s, C) → (..., R, s, Q, s, C) → (..., R·s, Q·s, C)
    x = windows.unflatten(-2, (size, size)).unflatten(-4, counts).transpose(-4, -3)
    x = x.flatten(-3, -2).flatten(-4, -3)
    return x[..., :height, :width, :].flatten(-3, -2)


def split_windows(
    patches: Tensor, grid: tuple[int, int], size: int, aux: Tensor | None = None
) -> Tensor:
    """Make every window a sequence of its own.

    Args:
        patches: What the heads have of the patches, (B, h, H·W, d).
        grid: (H, W).
        size: Patches per window side, s.
        aux: Auxiliary tokens to repeat in every window, before its patches, (B, h, A, d).

    Returns:
        (B·R·Q, h, A + s², d), A = 0 without `aux`.
    """
    windows = window_partition(patches, grid, size)
    if aux is not None and aux.shape[2]:
        # (B, h, A, d) → (B, h, R·Q, A, d)
        aux = aux.unsqueeze(2).expand(-1, -1, windows.shape[2], -1, -1)
        windows = torch.cat([aux, windows], dim=3)
    # (B, h, R·Q, A + s², d) → (B, R·Q, h, A + s², d) → (B·R·Q, h, A + s², d)
    return windows.transpose(1, 2).flatten(0, 1)


def join_windows(windows: Tensor, batch: int, grid: tuple[int, int], size: int) -> Tensor:
    """The inverse of `split_windows` without `aux`: (B·R·Q, h, s², d) → (B, h, H·W, d)."""
    rows, columns = _counts(grid, size)
    # (B·R·Q, h, s², d) → (B, R·Q, h, s², d) → (B, h, R·Q, s², d)
    return window_reverse(windows.unflatten(0, (batch, rows * columns)).transpose(1, 2), grid, size)


def window_mask(q: Tensor, grid: tuple[int, int], size: int, num_aux: int) -> Tensor | None:
    """Which keys of each window are real tokens.

    Args:
        q: Queries, (B, …), whose batch and device it is for.
        grid: (H, W).
        size: Patches per window side, s.
        num_aux: A, auxiliary tokens in every window.

    Returns:
        (B·R·Q, 1, 1, A + s²), or None if the windows fit the grid exactly.
    """
    height, width = grid
    if _fits(grid, size):
        return None
    real = torch.ones(height * width, 1, dtype=torch.bool, device=q.device)
    # (H·W, 1) → (R·Q, s², 1) → (R·Q, 1, 1, s²)
    real = window_partition(real, grid, size).transpose(-2, -1).unsqueeze(1)
    return F.pad(real, (num_aux, 0), value=True).repeat(q.shape[0], 1, 1, 1)
