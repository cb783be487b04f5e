"""q, k and v from the scales of LIFE, with one copy of each scale there and one back."""

from __future__ import annotations

import torch
from torch import Tensor


def join_scales(first: Tensor, *further: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Put the thirds of all scales side by side: q = (q₁|q₂|…), k = (k₁|k₂|…), v = (v₁|v₂|…).

    Chunks and concatenations do the same with twice the copies (our design).

    Args:
        first: Scale 1 of all tokens, (q₁|k₁|v₁), (B, A + H·W, 3·c).
        *further: Of each further scale the auxiliary tokens, (B, A, 3·c), and the patches, (B, H·W,
            3·c).

    Returns:
        q, k and v of n scales, each (B, A + H·W, n·c).
    """
    # Tracers (torch.jit, ONNX) know what is copied, but not what a Function is made of.
    learns = torch.is_grad_enabled() and not torch.jit.is_tracing()
    return _JoinScales.apply(first, *further) if learns else _join(first, *further)


def _join(first: Tensor, *further: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    num_scales, num_aux = 1 + len(further) // 2, further[0].shape[1] if further else 0
    joined = first.new_empty(3, *first.shape[:2], num_scales, first.shape[2] // 3)
    _copy_thirds(first, joined[..., 0, :])
    for scale in range(1, num_scales):
        aux, patches = further[2 * scale - 2 : 2 * scale]
        _copy_thirds(aux, joined[:, :, :num_aux, scale])
        _copy_thirds(patches, joined[:, :, num_aux:, scale])
    return joined.flatten(-2).unbind(0)


def _copy_thirds(scale: Tensor, place: Tensor) -> None:
    # (B, N, 3·c) → (B, N, 3, c) → (3, B, N, c)
    place.copy_(scale.unflatten(-1, (3, -1)).permute(2, 0, 1, 3))


class _JoinScales(torch.autograd.Function):
    @staticmethod
    def forward(first: Tensor, *further: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _join(first, *further)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.num_aux = inputs[1].shape[1] if len(inputs) > 1 else 0
        ctx.channels, ctx.num_scales = inputs[0].shape[2] // 3, 1 + len(inputs) // 2

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, ...]:
        def of(scale: int, tokens: slice) -> Tensor:
            channels = slice(scale * ctx.channels, (scale + 1) * ctx.channels)
            return torch.cat([gradient[:, tokens, channels] for gradient in gradients], dim=-1)

        found, num_aux = [of(0, slice(None))], ctx.num_aux
        for scale in range(1, ctx.num_scales):
            found += [of(scale, slice(num_aux)), of(scale, slice(num_aux, None))]
        return tuple(found)
