"""The way back of the trace: through one layer, without the pass that carried it there."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmtoken.pyramid import PyramidBlock
from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool, TokenAttention, TokenBlock
from mmtoken.vit.attention_map import AttentionMap, WindowedMap
from mmtoken.vit.windows import join_windows, split_windows

from .transposed_attention import transposed_attention


def trace_gradient(
    layer: TokenBlock | PyramidBlock | BasePool, tokens: Tokens, gradient: Tensor
) -> Tensor:
    """The gradient of the trace that enters a layer.

    Args:
        layer: The layer.
        tokens: What enters it; its own trace is not needed.
        gradient: With respect to the trace that leaves, (B, N', M).

    Returns:
        (B, N, M), of the gradient's type: ½(Āᵀ·gradient + gradient) for a block, and for a pool
        the transposed linear map of its `pool_trace`. In windows with padding, Ā is what is left of
        it where rows are scaled to the sum 1.
    """
    if isinstance(layer, BasePool):
        return _transposed(lambda t: layer.pool_trace(t, tokens.grid), tokens, gradient)
    if isinstance(layer, PyramidBlock):
        # Its windows are small, so that a pass there and back is little.
        return _transposed(lambda t: _mix(layer, tokens, t), tokens, gradient)
    tokens = tokens.with_(x=layer.ln1(tokens.x))
    return 0.5 * (_through_attention(layer.attn, tokens, gradient) + gradient)


def _mix(block: PyramidBlock, tokens: Tokens, trace: Tensor) -> Tensor:
    # A copy, since tensors of inference mode enter no graph.
    tokens = tokens.with_(x=tokens.x.clone(), trace=trace, exact_trace=True)
    return block.attn(block.entering(tokens)).trace


def _transposed(linear: Callable[[Tensor], Tensor], tokens: Tokens, gradient: Tensor) -> Tensor:
    """The gradient of the trace that a linear map takes."""
    # Out of inference mode, which knows no gradient, and whose tensors can have none.
    with torch.inference_mode(False), torch.enable_grad():
        shape = gradient.shape[0], tokens.x.shape[1], gradient.shape[2]
        trace = gradient.new_zeros(shape, requires_grad=True)
        return torch.autograd.grad(linear(trace), trace, gradient.clone())[0]


def _through_attention(attention: TokenAttention, tokens: Tokens, gradient: Tensor) -> Tensor:
    """Āᵀ·gradient, (B, N, M)."""
    seen, _ = attention.map_and_values(tokens)
    # (B, N, M) → (B, 1, N, M)
    values = gradient.unsqueeze(1)
    with torch.autocast(gradient.device.type, enabled=False):
        if isinstance(seen, WindowedMap):
            return _through_windows(seen, values, tokens)
        return _head_mean(seen, values)


def _through_windows(seen: WindowedMap, values: Tensor, tokens: Tokens) -> Tensor:
    num_aux, grid = tokens.num_aux, tokens.grid
    # (B·R·Q, A + s², M) → (B·R·Q, 1, A + s², M)
    inside = split_windows(values[:, :, num_aux:], grid, seen.size)
    found = _head_mean(seen.windows, inside).unsqueeze(1)
    patches = join_windows(found[:, :, num_aux:], len(values), grid, seen.size).squeeze(1)
    if not num_aux:
        return patches
    # (B·R·Q, 1, A, M) → (B, R·Q, A, M) → (B, A, M)
    aux = found[:, 0, :num_aux].unflatten(0, (len(values), -1)).sum(dim=1)
    both = torch.cat([aux, patches], dim=1)
    return both + _head_mean(seen.aux, values[:, :, :num_aux])


def _head_mean(seen: AttentionMap, values: Tensor) -> Tensor:
    """Āᵀ·values of one call, Ā the mean over its heads; (B, 1, Q, M) → (B, N, M)."""
    q, k = seen.q.to(values.dtype), seen.k.to(values.dtype)
    values = values.expand(-1, q.shape[1], -1, -1)
    return transposed_attention(q, k, values, seen.mask).mean(dim=1)
