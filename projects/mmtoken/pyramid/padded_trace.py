"""The trace where attention also goes to padding, which has none (our design)."""

from __future__ import annotations

import torch
from torch import Tensor


def count_real(trace: Tensor) -> Tensor:
    """A channel more, 1 of tokens that are there; of padding it becomes 0 as all its channels."""
    return torch.cat([trace, torch.ones_like(trace[..., :1])], dim=-1)


def divide_by_real(mixed: Tensor, own: Tensor) -> Tensor:
    """What attention made of a trace, divided by what of it went to tokens that are there.

    Args:
        mixed: (B, N, M + 1), of `count_real`.
        own: The trace before, (B, N, M).

    Returns:
        (B, N, M): a token's own where padding takes everything.
    """
    share = mixed[..., -1:]
    seen = share > torch.finfo(share.dtype).tiny
    return torch.where(seen, mixed[..., :-1] / share.where(seen, 1), own)
