"""The way back of the trace: through one layer, without the pass that carried it there."""

from __future__ import annotations

import torch
from torch import Tensor

from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool, TokenAttention, TokenBlock
from mmtoken.vit.windows import join_windows, split_windows, window_mask

from .transposed_attention import transposed_attention


def trace_gradient(layer: TokenBlock | BasePool, tokens: Tokens, gradient: Tensor) -> Tensor:
    """The gradient of the trace that enters a layer.

    Args:
        layer: The layer.
        tokens: What enters it; its own trace is not needed.
        gradient: With respect to the trace that leaves, (B, N', M).

    Returns:
        (B, N, M), of the gradient's type: ½(Āᵀ·gradient + gradient) for a block, and for a pool
        the transposed linear map of its `pool_trace`.
    """
    if isinstance(layer, BasePool):
        return _through_pool(layer, tokens, gradient)
    tokens = tokens.with_(x=layer.ln1(tokens.x))
    return 0.5 * (_through_attention(layer.attn, tokens, gradient) + gradient)


def _through_pool(pool: BasePool, tokens: Tokens, gradient: Tensor) -> Tensor:
    # Out of inference mode, which knows no gradient, and whose tensors can have none.
    with torch.inference_mode(False), torch.enable_grad():
        shape = gradient.shape[0], tokens.x.shape[1], gradient.shape[2]
        trace = gradient.new_zeros(shape, requires_grad=True)
        return torch.autograd.grad(pool.pool_trace(trace, tokens.grid), trace, gradient.clone())[0]


def _through_attention(attention: TokenAttention, tokens: Tokens, gradient: Tensor) -> Tensor:
    """Āᵀ·gradient, (B, N, M)."""
    q, k, _ = attention.heads(tokens)
    # (B, N, M) → (B, 1, N, M)
    values = gradient.unsqueeze(1)
    with torch.autocast(q.device.type, enabled=False):
        q, k = q.to(gradient.dtype), k.to(gradient.dtype)
        if attention.splits(tokens.grid):
            return _through_windows(q, k, values, tokens, attention.window_size)
        return _head_mean(q, k, values)


def _through_windows(q: Tensor, k: Tensor, values: Tensor, tokens: Tokens, size: int) -> Tensor:
    num_aux, grid = tokens.num_aux, tokens.grid
    # (B·R·Q, A + s², M) → (B·R·Q, 1, A + s², M)
    found = _head_mean(
        split_windows(q[:, :, num_aux:], grid, size),
        split_windows(k[:, :, num_aux:], grid, size, k[:, :, :num_aux]),
        split_windows(values[:, :, num_aux:], grid, size),
        window_mask(q, grid, size, num_aux),
    ).unsqueeze(1)
    patches = join_windows(found[:, :, num_aux:], q.shape[0], grid, size).squeeze(1)
    if not num_aux:
        return patches
    # (B·R·Q, 1, A, M) → (B, R·Q, A, M) → (B, A, M)
    aux = found[:, 0, :num_aux].unflatten(0, (q.shape[0], -1)).sum(dim=1)
    both = torch.cat([aux, patches], dim=1)
    return both + _head_mean(q[:, :, :num_aux], k, values[:, :, :num_aux])


def _head_mean(q: Tensor, k: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Āᵀ·values of one call, Ā the mean over its heads; (B, 1, Q, M) → (B, N, M)."""
    values = values.expand(-1, q.shape[1], -1, -1)
    return transposed_attention(q, k, values, mask).mean(dim=1)
