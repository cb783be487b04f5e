"""Attention between windows, for each channel apart (Lin et al., arXiv 2106.05786)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.pyramid.padded_trace import count_real, divide_by_real
from mmtoken.tokens import Tokens
from mmtoken.vit.fused_attention import traced_attention
from mmtoken.vit.windows import window_partition, window_reverse

# Traced channels that go beside the values of every channel; more of them, as roll-outs have, wait
# for the mean map. Labels beside padding are two.
FEW = 2
# Numbers of the maps between windows that exist at a time, before and after the softmax.
NUMBERS = 2**22


class CrossPatchAttention(nn.Module):
    """CAT's cross-patch attention (CPSA): of each channel of each image, the windows are tokens,
    and the values at the s² places of a window are their features.

    All channels share the weights and do not mix: they are heads of one fused call. There is no
    bias for positions, and so the grid may have any number of windows, P.

    Where windows do not divide the grid it is zero-padded at the bottom and right, as the released
    dense code does it: padded places are features as any other.

    A trace goes from window to window between the same places, by the mean of the attention over
    the channels: w ← ½(Ā·w + w), w (P, s²) (our design). qkv and proj mix the places of a window,
    and leave labels alone as all projections do. Padded places have no trace; that of the others
    is divided by what attention leaves to them. Labels go through the fused call; for the many
    channels of a roll-out Ā, (P, P), is formed, a few channels of it at a time.

    Args:
        window_size: Places per window side, s, which the paper calls the patch.
        qkv_bias: Whether the q, k, v projection has a bias.
        qk_scale: What q·kᵀ is multiplied by; 1/s, which is 1/√s², by default.
        attn_drop: Dropout probability of the attention weights.

    Raises:
        UserError: If `window_size` is no whole number.
    """

    def __init__(
        self,
        window_size: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
    ) -> None:
        super().__init__()
        check_whole('window_size', window_size, example=7)
        places = window_size**2
        self.window_size = window_size
        self.qk_scale = qk_scale
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(places, 3 * places, bias=qkv_bias)
        self.proj = nn.Linear(places, places)

    def forward(self, tokens: Tokens) -> Tokens:
        """Attend; the residual is not added, the trace is the new one."""
        grid, size = tokens.grid, self.window_size
        padded, trace = any(side % size for side in grid), tokens.trace
        if trace is not None:
            trace = self._split_trace(count_real(trace) if padded else trace, grid)
        q, k, v = self._project(tokens)
        drop = self.attn_drop if self.training else 0.0
        # What is left beside padding may be little.
        exact = tokens.exact_trace or padded
        many = trace is not None and trace.shape[-1] > FEW * size**2
        out, mixed = traced_attention(q, k, v, None if many else trace, dropout=drop, exact=exact)
        if many:
            mixed = _mix_by_mean_map(q, k, trace)
        # (B, C, P, s²) → (B, P, s², C) → (B, H·W, C)
        out = self.proj(out[..., : size**2]).permute(0, 2, 3, 1)
        out = tokens.with_(x=window_reverse(out, grid, size))
        if mixed is None:
            return out
        # (B, P, s²·M) → (B, P, s², M) → (B, H·W, M)
        mixed = window_reverse(mixed.unflatten(-1, (size**2, -1)), grid, size)
        if padded:
            mixed = divide_by_real(mixed, tokens.trace)
        return out.with_(trace=0.5 * (mixed + tokens.trace))

    def _split_trace(self, trace: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, H·W, M) → (B, P, s², M) → (B, P, s²·M)."""
        return window_partition(trace, grid, self.window_size).flatten(2)

    def heads(self, tokens: Tokens) -> Tensor:
        """Who attends to whom, in every channel of one image, (C, H·W, H·W), for who wants to see
        it; `forward` never forms it. Rows sum to less than 1 where padding takes a part.
        """
        q, k, _ = self._project(tokens)
        # (1, C, P, P) → (C, 1, P, P)
        weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1).transpose(0, 1)
        count = tokens.x.shape[1]
        # From 1 on: padding becomes 0. (H·W, 1) → (P, s², 1) → (s², P)
        places = torch.arange(1, count + 1, device=q.device).unsqueeze(1)
        places = window_partition(places, tokens.grid, self.window_size).squeeze(-1).T
        full = weights.new_zeros(len(weights), count + 1, count + 1)
        full[:, places.unsqueeze(2), places.unsqueeze(1)] = weights.expand(-1, len(places), -1, -1)
        return full[:, 1:, 1:]

    def _project(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v of windows, (B, C, P, s²), filled up with zeros to a width that kernels take;
        the product of q and k, divided by the root of that width, is what softmax is taken of.
        """
        # (B, H·W, C) → (B, P, s², C) → (B, C, P, s²)
        x = window_partition(tokens.x, tokens.grid, self.window_size).permute(0, 3, 1, 2)
        width = x.shape[-1]
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        factor = 1.0 if self.qk_scale is None else self.qk_scale * width**0.5
        if filling := -width % self._multiple(x):
            q, k, v = (F.pad(t, (0, filling)) for t in (q, k, v))
            factor *= (1 + filling / width) ** 0.5
        return (q if factor == 1 else q * factor), k, v

    @staticmethod
    def _multiple(x: Tensor) -> int:
        """What the width of heads must be a multiple of: in float32, CUDA would fall back from its
        fused kernels to the P×P matrices of every channel for the 49 places of a window of 7.
        """
        return 1 if x.device.type == 'cpu' else 8


def _mix_by_mean_map(q: Tensor, k: Tensor, trace: Tensor) -> Tensor:
    """Ā·trace, which has a gradient with respect to the trace.

    Args:
        q: Queries, (B, C, P, d).
        k: Keys, (B, C, P, d).
        trace: (B, P, s²·M).
    """
    batch, channels, windows, width = q.shape
    some = max(1, NUMBERS // (batch * windows**2))
    with torch.autocast(q.device.type, enabled=False):
        mean = trace.new_zeros(batch, windows, windows)
        with torch.no_grad():
            q, k = q.to(trace.dtype) * width**-0.5, k.to(trace.dtype)
            for queries, keys in zip(q.split(some, dim=1), k.split(some, dim=1), strict=True):
                mean += (queries @ keys.mT).softmax(dim=-1).sum(dim=1)
        return mean.div_(channels) @ trace
