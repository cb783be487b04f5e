"""The grid cut into windows that are shifted every other block (Liu et al., arXiv 2103.14030)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit.known import known
from mmtoken.vit.windows import window_partition, window_reverse

from .padded_trace import count_real, divide_by_real
from .window_attention import WindowAttention
from .window_bias import shift_mask


class ShiftedWindows(nn.Module):
    """Cut the grid into windows, shifted or not, attend within them, and put it together again.

    Where windows do not divide the grid it is zero-padded at the bottom and right, as detectors and
    segmentors do it: padded tokens are keys as any other. They have no trace; that of the others is
    divided by what attention leaves to them (our design).

    Args:
        attention: What attends within a window.
        window_size: Places per window side, s.
        shift: By how many the windows are shifted, in both directions.
        pad_small_map: Whether a grid that is no larger than a window is padded and shifted, too
            (detection, segmentation). Otherwise it is one window, unshifted.
        per_axis: Whether such a grid stays unshifted only along the sides that are no larger than a
            window (timm's Swin V2), and not along both.
    """

    def __init__(
        self,
        attention: WindowAttention,
        window_size: int,
        shift: int = 0,
        pad_small_map: bool = False,
        per_axis: bool = False,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift = shift
        self.pad_small_map = pad_small_map
        self.per_axis = per_axis
        self.w_msa = attention

    def forward(self, tokens: Tokens) -> Tokens:
        """Attend; the residual is not added, the trace is the new one.

        Raises:
            UserError: If a grid is smaller than a window and not to be padded.
        """
        grid, shifts, mask = self._plan(tokens)
        padded = grid != tokens.grid
        trace = tokens.trace
        if trace is not None:
            trace = self._split(count_real(trace) if padded else trace, tokens.grid, grid, shifts)
        # What is left beside padding may be little.
        exact = tokens.exact_trace or padded
        x, mixed = self.w_msa(self._project(tokens, grid, shifts), trace, mask, exact)
        x = self._join(x, tokens.grid, grid, shifts)
        if mixed is None:
            return tokens.with_(x=x)
        mixed = self._join(mixed, tokens.grid, grid, shifts)
        if padded:
            mixed = divide_by_real(mixed, tokens.trace)
        return tokens.with_(x=x, trace=0.5 * (mixed + tokens.trace))

    def heads(self, tokens: Tokens) -> Tensor:
        """Who attends to whom, of every head of one image, (h, H·W, H·W); rows sum to less than 1
        where padding takes a part.
        """
        grid, shifts, mask = self._plan(tokens)
        weights = self.w_msa.weights(self._project(tokens, grid, shifts), mask)
        count = tokens.x.shape[1]
        # From 1 on: padding becomes 0.
        places = torch.arange(1, count + 1, device=weights.device).view(1, count, 1)
        places = self._split(places, tokens.grid, grid, shifts).squeeze(-1)
        full = weights.new_zeros(weights.shape[1], count + 1, count + 1)
        # (R·Q, h, s², s²) → (h, R·Q, s², s²)
        full[:, places.unsqueeze(2), places.unsqueeze(1)] = weights.transpose(0, 1)
        return full[:, 1:, 1:]

    def _plan(self, tokens: Tokens) -> tuple[tuple[int, int], tuple[int, int], Tensor | None]:
        """The grid of whole windows, by how much it is rolled, and the mask of the scores."""
        size, shifts = self.window_size, self.shifts_of(tokens.grid)
        grid = tuple(-(-side // size) * size for side in tokens.grid)
        return grid, shifts, shift_mask(grid, size, shifts, tokens.x) if any(shifts) else None

    def shifts_of(self, grid: tuple[int, int]) -> tuple[int, int]:
        """By how many rows and columns windows are shifted on a grid.

        Raises:
            UserError: If it is smaller than a window and not to be padded.
        """
        size = self.window_size
        if self.pad_small_map or min(grid) > size:
            return self.shift, self.shift
        if min(grid) < size:
            raise UserError(
                f'a window of {size}x{size} tokens is larger than the grid '
                f'{grid[0]}x{grid[1]}; set a smaller window_size, or pad_small_map=True'
            )
        if not self.per_axis:
            return 0, 0
        return tuple(self.shift if side > size else 0 for side in grid)

    def _project(
        self, tokens: Tokens, grid: tuple[int, int], shifts: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """q, k and v of one sequence a window; where the projection sees the whole grid, those of
        padding are zeros.
        """
        if self.w_msa.sees_grid:
            made = self.w_msa.project(tokens)
            return tuple(self._split(t, tokens.grid, grid, shifts) for t in made)
        x, size = self._split(tokens.x, tokens.grid, grid, shifts), self.window_size
        return self.w_msa.project(Tokens(x, (size, size), 0))

    def _split(
        self, t: Tensor, grid: tuple[int, int], padded: tuple[int, int], shifts: tuple[int, int]
    ) -> Tensor:
        """(B, H·W, C) → (B·R·Q, s², C), of the padded grid."""
        t = t.unflatten(1, grid)
        if not all(known(a == b) for a, b in zip(grid, padded, strict=True)):
            t = F.pad(t, (0, 0, 0, padded[1] - grid[1], 0, padded[0] - grid[0]))
        if any(shifts):
            t = t.roll((-shifts[0], -shifts[1]), (1, 2))
        return window_partition(t.flatten(1, 2), padded, self.window_size).flatten(0, 1)

    def _join(
        self,
        windows: Tensor,
        grid: tuple[int, int],
        padded: tuple[int, int],
        shifts: tuple[int, int],
    ) -> Tensor:
        """The inverse of `_split`."""
        count = (padded[0] // self.window_size) * (padded[1] // self.window_size)
        t = window_reverse(windows.unflatten(0, (-1, count)), padded, self.window_size)
        t = t.unflatten(1, padded)
        if any(shifts):
            t = t.roll(shifts, (1, 2))
        return t[:, : grid[0], : grid[1]].flatten(1, 2)
