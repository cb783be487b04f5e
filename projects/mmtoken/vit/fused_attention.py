"""The fused attention call that carries the trace beside the values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .widened_attention import widened_attention


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
        mask: Which keys may be attended to, or what is added to the scores, broadcastable to (B,
            h, Q, N), or None for all.
        dropout: Probability to drop an attention weight; the trace sees the attention before
            dropout.
        exact: Whether the trace is attended to in its own type, by a call of its own where the
            values are of a coarser one: for traces whose ratio counts, which lose what is small
            beside their mean.

    Returns:
        The attended values (B, h, Q, d) and Ā·trace (B, Q, M), or None where there is no trace.
    """
    scale = q.shape[-1] ** -0.5
    if trace is None:
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale), None
    if exact and not _holds(_autocast(v).dtype, trace.dtype):
        with torch.autocast(q.device.type, enabled=False):
            alone = (t.to(trace.dtype) for t in (q, k, v[..., :0]))
            added = mask is not None and mask.is_floating_point()
            _, mixed = traced_attention(*alone, trace, mask.to(trace.dtype) if added else mask)
        return traced_attention(q, k, v, None, mask, dropout)[0], mixed
    if dropout > 0:
        _, mixed = traced_attention(q, k, v[..., :0], trace, mask)
        return traced_attention(q, k, v, None, mask, dropout)[0], mixed
    q, k, v = (_autocast(t) for t in (q, k, v))
    mean, parts = _parts_of(trace, v.dtype)
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


def _holds(dtype: torch.dtype, trace: torch.dtype) -> bool:
    """Whether a type has the precision of the trace's."""
    return torch.finfo(dtype).eps <= torch.finfo(trace).eps


def _parts_of(trace: Tensor, dtype: torch.dtype) -> tuple[Tensor | float, Tensor]:
    """The trace as a mean over the tokens and P parts of a type, (B, N, P·M), that add up to the
    rest: one part where the type holds the trace exactly, else two and the mean.
    """
    if _holds(dtype, trace.dtype):
        return 0.0, trace.to(dtype)
    mean = trace.mean(dim=1, keepdim=True)
    rest = trace - mean
    high = rest.to(dtype)
    return mean, torch.cat([high, (rest - high).to(dtype)], dim=-1)
