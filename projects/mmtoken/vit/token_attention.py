"""Multi-head self-attention over tokens, global or in windows, that carries the trace in the same
fused call.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .building import build_part
from .transposed_attention import transposed_attention
from .widened_attention import widened_attention
from .windows import window_mask, window_partition, window_reverse


def traced_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    trace: Tensor | None = None,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    exact: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(q·kᵀ/√d)·v and, in the same fused call, the head-mean of that attention applied to
    the trace.

    The traced channels are appended to v, so that no N×N matrix is formed (`design.md`, "One
    mechanism for two papers"; our design). The trace has a gradient with respect to the trace it
    came from, where that requires one; otherwise it is detached, from q and k too.

    Under mixed precision the trace stays in float32: attention sees how it differs from its mean,
    as the sum of two numbers of the lower precision. Since the weights sum to 1, the mean itself
    passes exactly, and what is left is small and rounds little.

    Args:
        q: Queries, (B, h, Q, d).
        k: Keys, (B, h, N, d).
        v: Values, (B, h, N, d).
        trace: Traced numbers of the keys, (B, N, M), or None.
        mask: Which keys may be attended to, broadcastable to (B, h, 1, N), or None for all.
        dropout: Probability to drop an attention weight; the trace sees the attention before
            dropout.
        exact: Whether the trace is attended to by a call of its own, in its own type: for traces
            whose ratio counts, which lose what is small beside their mean.

    Returns:
        The attended values (B, h, Q, d) and Ā·trace (B, Q, M), or None where there is no trace.
    """
    scale = q.shape[-1] ** -0.5
    if trace is None:
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale), None
    if exact:
        with torch.autocast(q.device.type, enabled=False):
            alone = (t.to(trace.dtype) for t in (q, k, v[..., :0]))
            _, mixed = traced_attention(*alone, trace, mask)
        return traced_attention(q, k, v, None, mask, dropout)[0], mixed
    if dropout > 0:
        _, mixed = traced_attention(q, k, v[..., :0], trace, mask)
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale), mixed
    q, k, v = (_autocast(t) for t in (q, k, v))
    mean, parts = _split(trace, v.dtype)
    # (B, N, P·M) → (B, h, N, P·M)
    parts = parts.unsqueeze(1).expand(-1, q.shape[1], -1, -1)
    out, mixed = widened_attention(q, k, v, parts, mask)
    # (B, h, Q, P·M) → (B, Q, P·M) → (B, Q, P, M) → (B, Q, M)
    mixed = mixed.to(trace.dtype).mean(dim=1).unflatten(-1, (-1, trace.shape[-1])).sum(dim=-2)
    return out, mixed + mean


def _autocast(t: Tensor) -> Tensor:
    """What autocast would make of an operand of the fused call, made before the trace joins it."""
    device = t.device.type
    if t.dtype != torch.float32 or not torch.is_autocast_enabled(device):
        return t
    return t.to(torch.get_autocast_dtype(device))


def _split(trace: Tensor, dtype: torch.dtype) -> tuple[Tensor | float, Tensor]:
    """The trace as a mean over the tokens and P parts of a type, (B, N, P·M), that add up to the
    rest: one part where the type holds the trace exactly, else two and the mean.
    """
    if torch.finfo(dtype).eps <= torch.finfo(trace.dtype).eps:
        return 0.0, trace.to(dtype)
    mean = trace.mean(dim=1, keepdim=True)
    rest = trace - mean
    high = rest.to(dtype)
    return mean, torch.cat([high, (rest - high).to(dtype)], dim=-1)


class TokenAttention(nn.Module):
    """Multi-head self-attention over `Tokens`.

    With a window size, patches attend to the auxiliary tokens and to the patches of their own
    window, while auxiliary tokens attend to everything: full attention under a block mask, without
    the full matrix (our design; ViTDet drops the class token instead). The projection comes before
    the split, so LIFE's convolutions see the whole grid.

    Args:
        embed_dims: C.
        num_heads: h; must divide C.
        projection: Config of the q, k, v projection, built with `embed_dims` and `bias` added.
        qkv_bias: Whether the projection has a bias.
        attn_drop: Dropout probability of the attention weights.
        proj_drop: Dropout probability after the output projection.
        window_size: Patches per window side; 0 means global attention.

    Raises:
        UserError: If `num_heads` does not divide `embed_dims`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        projection: dict,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        window_size: int = 0,
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise UserError(
                f'embed_dims {embed_dims} is not a multiple of num_heads {num_heads}; change one '
                'of them'
            )
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.window_size = window_size
        self.qkv = build_part('projection', projection, embed_dims=embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.out_drop = nn.Dropout(proj_drop)

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Returns:
            The attended features (B, N, C), residual not added, and the new trace ½(Ā·trace +
            trace) (B, N, M) or None.
        """
        q, k, v = self._heads(tokens)
        attend = self._attend_in_windows if self._windowed(tokens) else self._attend
        out, mixed = attend(q, k, v, tokens)
        # (B, h, N, d) → (B, N, h, d) → (B, N, C)
        x = self.out_drop(self.proj(out.transpose(1, 2).flatten(2)))
        return x, None if mixed is None else 0.5 * (mixed + tokens.trace)

    def trace_gradient(self, tokens: Tokens, gradient: Tensor) -> Tensor:
        """The gradient of the trace, without the pass that carried it: ½(Āᵀ·gradient + gradient).

        Args:
            tokens: What `forward` got, normed; no trace is needed.
            gradient: With respect to the new trace, (B, N, M).

        Returns:
            (B, N, M), with respect to the old one, of the gradient's type.
        """
        q, k, _ = self._heads(tokens)
        roll = self._roll_windows if self._windowed(tokens) else self._roll
        with torch.autocast(q.device.type, enabled=False):
            q, k = q.to(gradient.dtype), k.to(gradient.dtype)
            return 0.5 * (roll(q, k, gradient.unsqueeze(1), tokens) + gradient)

    def _heads(self, tokens: Tokens) -> Iterator[Tensor]:
        """q, k and v, (B, h, N, d) each."""
        # (B, N, C) → (B, N, h, d) → (B, h, N, d)
        return (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in self.qkv(tokens))

    def _windowed(self, tokens: Tokens) -> bool:
        return 0 < self.window_size < max(tokens.grid)

    def _roll(self, q: Tensor, k: Tensor, gradient: Tensor, tokens: Tokens) -> Tensor:
        """Āᵀ·gradient; (B, 1, N, M) → (B, N, M)."""
        return transposed_attention(q, k, gradient.expand(-1, q.shape[1], -1, -1)).mean(dim=1)

    def _roll_windows(self, q: Tensor, k: Tensor, gradient: Tensor, tokens: Tokens) -> Tensor:
        num_aux, grid, size = tokens.num_aux, tokens.grid, self.window_size
        # (B·R·Q, h, A + s², M) → (B·R·Q, A + s², M) → (B, R·Q, A + s², M)
        rolled = transposed_attention(
            self._split(q, tokens, with_aux=False),
            self._split(k, tokens),
            self._split(gradient, tokens, with_aux=False).expand(-1, q.shape[1], -1, -1),
            self._mask(q, tokens),
        )
        rolled = rolled.mean(dim=1).unflatten(0, (len(q), -1))
        patches = window_reverse(rolled[:, :, num_aux:], grid, size)
        if not num_aux:
            return patches
        both = torch.cat([rolled[:, :, :num_aux].sum(dim=1), patches], dim=1)
        return both + self._roll(q[:, :, :num_aux], k, gradient[:, :, :num_aux], tokens)

    def _split(self, t: Tensor, tokens: Tokens, with_aux: bool = True) -> Tensor:
        """(B, h, N, d) → (B·R·Q, h, A + s², d), auxiliary tokens repeated in every window."""
        num_aux = tokens.num_aux
        patches = window_partition(t[:, :, num_aux:], tokens.grid, self.window_size)
        if with_aux and num_aux:
            aux = t[:, :, None, :num_aux].expand(-1, -1, patches.shape[2], -1, -1)
            patches = torch.cat([aux, patches], dim=3)
        # (B, h, R·Q, A + s², d) → (B, R·Q, h, A + s², d) → (B·R·Q, h, A + s², d)
        return patches.transpose(1, 2).flatten(0, 1)

    def _mask(self, q: Tensor, tokens: Tokens) -> Tensor | None:
        """Which keys of each window are real tokens, (B·R·Q, 1, 1, A + s²), or None for all."""
        mask = window_mask(tokens.grid, self.window_size, tokens.num_aux, q.device)
        return None if mask is None else mask.repeat(len(q), 1, 1, 1)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens
    ) -> tuple[Tensor, Tensor | None]:
        return traced_attention(
            q, k, v, tokens.trace, dropout=self._dropout, exact=tokens.exact_trace
        )

    def _attend_in_windows(
        self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens
    ) -> tuple[Tensor, Tensor | None]:
        num_aux, grid, size, trace = tokens.num_aux, tokens.grid, self.window_size, tokens.trace
        out, mixed = traced_attention(
            self._split(q, tokens, with_aux=False),
            self._split(k, tokens),
            self._split(v, tokens),
            None if trace is None else self._split(trace.unsqueeze(1), tokens).squeeze(1),
            self._mask(q, tokens),
            self._dropout,
            tokens.exact_trace,
        )
        # (B·R·Q, h, s², d) → (B, h, R·Q, s², d) → (B, h, H·W, d)
        out = window_reverse(out.unflatten(0, (len(q), -1)).transpose(1, 2), grid, size)
        if mixed is not None:
            mixed = window_reverse(mixed.unflatten(0, (len(q), -1)), grid, size)
        if num_aux:
            aux, aux_mixed = traced_attention(
                q[:, :, :num_aux], k, v, trace, None, self._dropout, tokens.exact_trace
            )
            out = torch.cat([aux, out], dim=2)
            mixed = None if mixed is None else torch.cat([aux_mixed, mixed], dim=1)
        return out, mixed

    @property
    def _dropout(self) -> float:
        return self.attn_drop if self.training else 0.0
