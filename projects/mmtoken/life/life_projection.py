"""LIFE's q, k, v: a cascade of depthwise convolutions over the token grid adds local information at
several scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.checks import is_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .depthwise import DepthwiseConv2d


@MODELS.register_module()
class LIFEProjection(nn.Module):
    """The multi-scale q, k, v projection of LIFE (arXiv 2305.08551; module as released,
    NeurAI-Lab/LIFE `ms_qkv.py`).

    Scale 1 is a linear map of every token; each further scale is a depthwise convolution of the
    scale before over the patch grid, then a linear map without bias. Auxiliary tokens have no
    neighbors: they take the linear maps and skip the convolutions. Each scale gives a third of its
    channels to each of q, k and v:

        S₁ = W₁x + b₁,   Sₙ = Wₙ·DWₙ(Sₙ₋₁),   Sₙ = (qₙ|kₙ|vₙ),   q = (q₁|q₂|…), k = (k₁|k₂|…), v =
        (v₁|v₂|…)

    With 3 scales the cascade sees 1×1, 3×3 and 7×7 patches. Any number of scales and of auxiliary
    tokens is our generalization: the released code has 3 and 1.

    Args:
        embed_dims: C; a multiple of the number of scales, `len(kernel_sizes) + 1`.
        kernel_sizes: Odd kernel side of each depthwise convolution.
        qkv_norm: Whether one LayerNorm, shared by q, k and v, follows. Off in the paper's tables.
        aux_key: 'cascaded', the figure's key of the auxiliary tokens (k₁|k₂|…), or 'first', the
            released code's (k₁|k₁|…), which checkpoints trained with that code need.
        bias: Whether scale 1 has a bias, the only one of the module.
        values_only: Whether v alone is made, each scale a third as wide, for a layer that shares
            the attention map of another (our design).
        scope: What a pyramid's windows are convolved in: 'window', each by itself after the shift,
            regions that only the shift made neighbors mixed (the released code's, and the default),
            or 'grid', the whole grid before it is cut (our design). Windows of a plain ViT are cut
            after the projection anyway.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    def __init__(
        self,
        embed_dims: int,
        kernel_sizes: Sequence[int] = (3, 5),
        qkv_norm: bool = False,
        aux_key: str = 'cascaded',
        bias: bool = True,
        values_only: bool = False,
        scope: str | None = None,
    ) -> None:
        super().__init__()
        listed = isinstance(kernel_sizes, Sequence) and not isinstance(kernel_sizes, str)
        if not listed or not all(is_whole(s) and s > 0 and s % 2 for s in kernel_sizes):
            raise UserError(
                f'kernel_sizes {kernel_sizes!r} is not a sequence of odd whole numbers; use one, '
                'such as (3, 5)'
            )
        scales = len(kernel_sizes) + 1
        if embed_dims % scales:
            sizes = _fitting(embed_dims, kernel_sizes)
            raise UserError(
                f'embed_dims {embed_dims} is not a multiple of the {scales} scales (kernel_sizes '
                f'{tuple(kernel_sizes)} and the linear one); use '
                f'{f"kernel_sizes={sizes}, or " if sizes else ""}'
                f'an arch whose embed_dims is a multiple of {scales} and of its num_heads'
            )
        if aux_key not in ('cascaded', 'first'):
            raise UserError(f"aux_key {aux_key!r} is unknown; use 'cascaded' or 'first'")
        if scope not in (None, 'window', 'grid'):
            raise UserError(f"scope {scope!r} is unknown; use 'window' or 'grid'")
        self.scope = scope
        # q, k and v take embed_dims // scales channels of every scale, so a scale is 3·(C //
        # scales) wide.
        self.num_made = 1 if values_only else 3
        width = self.num_made * (embed_dims // scales)
        self.aux_key = aux_key
        self.linear = nn.Linear(embed_dims, width, bias=bias)
        self.depthwise = nn.ModuleList(DepthwiseConv2d(width, size) for size in kernel_sizes)
        # 1×1 convolutions as in the released code, which leaves them torch's initialization.
        self.pointwise = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in kernel_sizes)
        self.norm = nn.LayerNorm(embed_dims) if qkv_norm else nn.Identity()

    def forward(self, tokens: Tokens) -> tuple[Tensor, ...] | Tensor:
        """q, k and v of every token, each (B, N, C); or v."""
        first = self.linear(tokens.x)
        # One split, unlike two slices, has one gradient to allocate and nothing to add up.
        aux, patches = first.split([tokens.num_aux, first.shape[1] - tokens.num_aux], dim=1)
        scales = [first]
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            weight = pointwise.weight.flatten(1)
            patches = F.linear(self._convolve(depthwise, patches, tokens.grid), weight)
            if tokens.num_aux:
                aux = F.linear(aux, weight)
            scales.append(torch.cat([aux, patches], dim=1) if tokens.num_aux else patches)
        if self.num_made == 1:
            return self.norm(torch.cat(scales, dim=-1))
        chunks = [scale.chunk(3, dim=-1) for scale in scales]
        # per scale (B, N, 3·C/n) → three of (B, N, C/n); together (B, N, C)
        q, k, v = (list(parts) for parts in zip(*chunks, strict=True))
        if self.aux_key == 'first' and tokens.num_aux:
            key = k[0][:, : tokens.num_aux]
            k[1:] = [torch.cat([key, part[:, tokens.num_aux :]], dim=1) for part in k[1:]]
        return tuple(self.norm(torch.cat(parts, dim=-1)) for parts in (q, k, v))

    @staticmethod
    def _convolve(depthwise: DepthwiseConv2d, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Convolve the patches over their grid: (B, H·W, C) → (B, H·W, C)."""
        # (B, H·W, C) → (B, H, W, C) → (B, C, H, W), a view in channels-last memory
        x = depthwise(patches.unflatten(1, grid).permute(0, 3, 1, 2))
        # (B, C, H, W) → (B, H, W, C) → (B, H·W, C)
        return x.permute(0, 2, 3, 1).flatten(1, 2)


def _fitting(embed_dims: int, kernel_sizes: Sequence[int]) -> tuple[int, ...]:
    """The kernel sizes nearest in number to those given whose scales divide the channels; none
    where only far more would.
    """
    count = len(kernel_sizes)
    # The further ones go on in steps of two, as 3 and 5 do.
    longer = (*kernel_sizes, max(kernel_sizes) + 2, max(kernel_sizes) + 4)
    for nearby in (count + 1, count - 1, count + 2, count - 2):
        if nearby > 0 and embed_dims % (nearby + 1) == 0:
            return longer[:nearby]
    return ()
