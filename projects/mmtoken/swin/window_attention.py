"""Swin's attention within windows that are shifted every other block (Liu et al. 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit.building import build_projection
from mmtoken.vit.fused_attention import traced_attention
from mmtoken.vit.windows import window_partition, window_reverse

from .window_bias import relative_index, shift_mask


class WindowAttention(nn.Module):
    """Attention among the tokens of a window, by what they are and how they lie to each other;
    parameter names as in mmpretrain's `WindowMSA`.

    Args:
        embed_dims: C.
        num_heads: h; must divide C.
        window_size: Places per window side, s.
        projection: Config of the q, k, v projection, which sees a window as a grid.
        qkv_bias: Whether it has a bias.
        qk_scale: What q·kᵀ is multiplied by; 1/√d by default.
        attn_drop: Dropout probability of the attention weights.
        proj_drop: Dropout probability after the output projection.

    Raises:
        UserError: If `num_heads` does not divide `embed_dims`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int,
        projection: dict,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        check_whole('num_heads', num_heads, example=3)
        if embed_dims % num_heads:
            raise UserError(
                f'embed_dims {embed_dims} is not a multiple of num_heads {num_heads}; '
                'change one of them'
            )
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.qk_scale = qk_scale
        table = torch.zeros((2 * window_size - 1) ** 2, num_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        # In the state dict, as it is in mmpretrain's.
        self.register_buffer('relative_position_index', relative_index(window_size))
        self.qkv = build_projection(projection, embed_dims, qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)
        trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows: Tokens, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            windows: One sequence of s² tokens a window, (B·R·Q, s², C).
            mask: What is added to the scores besides, (R·Q, 1, s², s²), or None.

        Returns:
            The attended features, (B·R·Q, s², C), and Ā·trace or None.
        """
        q, k, v = (self._heads(t) for t in self.qkv(windows))
        bias = self.bias()
        if mask is not None:
            bias = (bias + mask).repeat(q.shape[0] // mask.shape[0], 1, 1, 1)
        if self.qk_scale is not None:
            # The fused call divides by √d itself.
            q = q * (self.qk_scale * q.shape[-1] ** 0.5)
        drop = self.attn_drop if self.training else 0.0
        out, mixed = traced_attention(q, k, v, windows.trace, bias, drop, windows.exact_trace)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2))), mixed

    def bias(self) -> Tensor:
        """Of relative positions, (1, h, s², s²)."""
        # (s²·s², h) → (s², s², h) → (h, s², s²)
        size = self.relative_position_index.shape
        table = self.relative_position_bias_table[self.relative_position_index.flatten()]
        return table.unflatten(0, size).permute(2, 0, 1).unsqueeze(0)

    def _heads(self, t: Tensor) -> Tensor:
        # (B·R·Q, s², C) → (B·R·Q, s², h, d) → (B·R·Q, h, s², d)
        return t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class ShiftedWindowAttention(nn.Module):
    """Cut the grid into windows, shifted or not, attend within them, and put it together again.

    Where windows do not divide the grid it is zero-padded at the bottom and right, as detectors and
    segmentors do it: padded tokens are keys as any other. They have no trace; that of the others is
    divided by what attention leaves to them (our design).

    Args:
        window_size: Places per window side, s.
        shift: By how many the windows are shifted, in both directions.
        pad_small_map: Whether a grid that is no larger than a window is padded and shifted, too
            (detection, segmentation). Otherwise it is one window, unshifted.
        **attention: As of `WindowAttention`.
    """

    def __init__(
        self, window_size: int, shift: int = 0, pad_small_map: bool = False, **attention
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift = shift
        self.pad_small_map = pad_small_map
        self.w_msa = WindowAttention(window_size=window_size, **attention)

    def forward(self, tokens: Tokens) -> Tokens:
        """Attend; the residual is not added, the trace is the new one.

        Raises:
            UserError: If a grid is smaller than a window and not to be padded.
        """
        size, shift = self.window_size, self.shift
        if min(tokens.grid) <= size and not self.pad_small_map:
            if min(tokens.grid) < size:
                raise UserError(
                    f'a window of {size}x{size} tokens is larger than the grid '
                    f'{tokens.grid[0]}x{tokens.grid[1]}; set a smaller window_size, or '
                    'pad_small_map=True'
                )
            shift = 0
        grid = tuple(-(-side // size) * size for side in tokens.grid)
        mask = shift_mask(grid, size, shift, tokens.x) if shift else None
        padded = grid != tokens.grid
        trace = tokens.trace
        if trace is not None and padded:
            # A channel that says how much of the attention goes to tokens that are there.
            trace = torch.cat([trace, torch.ones_like(trace[..., :1])], dim=-1)
        windows = Tokens(
            self._split(tokens.x, tokens.grid, grid, shift),
            (size, size),
            0,
            None if trace is None else self._split(trace, tokens.grid, grid, shift),
            # What is left beside padding may be little.
            tokens.exact_trace or padded,
        )
        x, mixed = self.w_msa(windows, mask)
        x = self._join(x, tokens.grid, grid, shift)
        if mixed is None:
            return tokens.with_(x=x)
        mixed = self._join(mixed, tokens.grid, grid, shift)
        if padded:
            share = mixed[..., -1:]
            # Where padding takes everything, tokens keep their own.
            seen = share > torch.finfo(share.dtype).tiny
            mixed = torch.where(seen, mixed[..., :-1] / share.where(seen, 1), tokens.trace)
        return tokens.with_(x=x, trace=0.5 * (mixed + tokens.trace))

    def _split(
        self, t: Tensor, grid: tuple[int, int], padded: tuple[int, int], shift: int
    ) -> Tensor:
        """(B, H·W, C) → (B·R·Q, s², C), of the padded grid."""
        t = t.unflatten(1, grid)
        t = F.pad(t, (0, 0, 0, padded[1] - grid[1], 0, padded[0] - grid[0]))
        if shift:
            t = t.roll((-shift, -shift), (1, 2))
        return window_partition(t.flatten(1, 2), padded, self.window_size).flatten(0, 1)

    def _join(
        self, windows: Tensor, grid: tuple[int, int], padded: tuple[int, int], shift: int
    ) -> Tensor:
        """The inverse of `_split`."""
        count = (padded[0] // self.window_size) * (padded[1] // self.window_size)
        t = window_reverse(windows.unflatten(0, (-1, count)), padded, self.window_size)
        t = t.unflatten(1, padded)
        if shift:
            t = t.roll((shift, shift), (1, 2))
        return t[:, : grid[0], : grid[1]].flatten(1, 2)
