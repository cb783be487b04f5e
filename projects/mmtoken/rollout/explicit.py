"""The roll-out from explicit N×N matrices, for what the trace cannot do: other fusions of the heads
than their mean, and discarding weak attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.pyramid import PyramidBlock
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention

from .capture import Step

FUSIONS = {
    'mean': lambda heads: heads.mean(dim=0),
    'min': lambda heads: heads.amin(dim=0),
    'max': lambda heads: heads.amax(dim=0),
}


@torch.no_grad()
def roll_back_explicitly(
    steps: Sequence[Step], weights: Tensor, head_fusion: str, discard_ratio: float
) -> Tensor:
    """As `roll_back`, (S, N) → (S, N), with one explicit N×N matrix at a time."""
    for step in reversed(steps):
        weights = weights @ explicit_matrix(step, head_fusion, discard_ratio)
    return weights


@torch.no_grad()
def explicit_matrix(step: Step, head_fusion: str = 'mean', discard_ratio: float = 0.0) -> Tensor:
    """½(Ā + I) of one layer, Ā its fused attention with rows that sum to 1.

    Args:
        step: The layer and the tokens that entered it.
        head_fusion: 'mean', 'min' or 'max' over the heads (Abnar & Zuidema, arXiv 2005.00928, take
            the mean); the rows of the other two are scaled to the sum 1. A token whose heads
            share no key looks, under 'min', at itself alone.
        discard_ratio: Share of each row, its weakest weights, that is set to zero before the row is
            scaled to the sum 1 (our design, after a habit of roll-out tools). Each row keeps one
            weight at least.

    Returns:
        (N, N), or (N', N) for a layer that pools.

    Raises:
        UserError: If the fusion is unknown or the ratio is not in [0, 1).
    """
    check_fusion(head_fusion, discard_ratio)
    layer, tokens = step.layer, step.tokens
    identity = torch.eye(tokens.x.shape[1], device=tokens.x.device)
    if step.is_pool:
        # Without attention of its own, it has nothing to fuse.
        return layer.pool_trace(identity[None], tokens.grid)[0]
    if isinstance(layer, PyramidBlock):
        heads = layer.attn.heads(layer.entering(tokens))
    else:
        heads = _attention(layer.attn, tokens.with_(x=layer.ln1(tokens.x)))
    fused = FUSIONS[head_fusion](heads)
    if discard_ratio:
        weakest = fused.argsort(dim=-1)[:, : int(discard_ratio * fused.shape[-1])]
        fused = fused.scatter(-1, weakest, 0.0)
    total = fused.sum(dim=-1, keepdim=True)
    return (torch.where(total > 0, fused / total, identity) + identity) / 2


def check_fusion(head_fusion: str, discard_ratio: float) -> None:
    """Refuse options of `explicit_matrix` that have no meaning.

    Raises:
        UserError: If the fusion is unknown or the ratio is not in [0, 1).
    """
    if head_fusion not in FUSIONS:
        raise UserError(f'head_fusion {head_fusion!r} is unknown; use one of {sorted(FUSIONS)}')
    if not 0 <= discard_ratio < 1:
        raise UserError(f'discard_ratio {discard_ratio} is not in [0, 1); 0 discards nothing')


def _attention(attention: TokenAttention, tokens: Tokens) -> Tensor:
    """softmax(q·k^T/√d) of every head, (h, N, N): what it makes of values that are the identity."""
    seen, values = attention.map_and_values(tokens)
    identity = torch.eye(values.shape[2], device=values.device, dtype=values.dtype)
    identity = identity.expand(1, values.shape[1], -1, -1)
    return seen.attend(identity, tokens.with_(trace=None))[0][0]
