"""Attention transposed: from what queries got to whom they got it from."""

from __future__ import annotations

import torch
from torch import Tensor

# Numbers of the attention matrix that exist at a time, twice, before and after the softmax: what a
# CPU core's cache holds, and what keeps a GPU busy yet is little beside the whole matrix.
NUMBERS = {'cpu': 2**19, 'cuda': 2**22}


def transposed_attention(
    q: Tensor, k: Tensor, values: Tensor, mask: Tensor | None = None
) -> Tensor:
    """softmax(q·kᵀ/√d)ᵀ·values, some rows of the softmax at a time (our design).

    It is the gradient of attended values with respect to the values. A fused kernel's backward pass
    forms those of q and k along with it, at twice the cost, and asks for the forward pass first.

    Args:
        q: Queries, (B, h, Q, d).
        k: Keys, (B, h, N, d).
        values: (B, h, Q, M).
        mask: Which keys may be attended to, broadcastable to (B, h, 1, N), or None for all.

    Returns:
        (B, h, N, M).
    """
    q, keys = q * q.shape[-1] ** -0.5, k.transpose(-2, -1).contiguous()
    numbers = NUMBERS.get(q.device.type, NUMBERS['cuda'])
    rows = max(1, numbers // keys[..., 0, :].numel())
    out = values.new_zeros(*k.shape[:-1], values.shape[-1])
    for queries, part in zip(q.split(rows, dim=-2), values.split(rows, dim=-2), strict=True):
        scores = queries @ keys
        if mask is not None:
            scores = scores.masked_fill_(~mask, -torch.inf)
        # (B, h, N, rows) · (B, h, rows, M)
        out += scores.softmax(dim=-1).transpose(-2, -1) @ part
    return out
