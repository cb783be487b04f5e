"""Swin V2: cosine attention, positions by an MLP, norms that end branches (arXiv 2111.09883)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.pyramid import PostNormBlock, WindowAttention

from .swin import Swin
from .window_attention_v2 import OFFSETS, WindowAttentionV2, window_of


@MODELS.register_module()
class SwinV2(Swin):
    """Swin V2 over `Tokens`: parameter names are those of mmpretrain's `SwinTransformerV2`, so its
    weights load as they are.

    With `projection=dict(type='LIFEProjection')` it is LIFE's Swin V2 (arXiv 2305.08551, as
    released), without the biases of q and v that nothing reads there.

    A grid that is no larger than a window on one side is unshifted along that side alone, as in
    timm's and LIFE's code; mmpretrain then shifts neither.

    Args:
        arch: As of `TokenPyramid`.
        img_size: As of `TokenPyramid`.
        *args: As of `Swin`.
        window_size: As of `Swin`; 16 at 256 px wants (16, 16, 16, 8).
        pretrained_window_sizes: Window size of each stage when the weights were trained, by which
            offsets are scaled; 0 for the present one.
        **kwargs: As of `Swin`.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    block = PostNormBlock
    attention = WindowAttentionV2
    per_axis = True
    merges_first = True
    merges_post_norm = True

    def __init__(
        self,
        arch: str | dict | None = None,
        img_size: int | tuple[int, int] = 256,
        *args,
        window_size: int | Sequence[int] = 8,
        pretrained_window_sizes: Sequence[int] | None = None,
        **kwargs,
    ) -> None:
        self.pretrained_window_sizes = pretrained_window_sizes
        super().__init__(arch, img_size, *args, window_size=window_size, **kwargs)

    def options(self) -> dict[str, Any]:
        """As of `Swin`; the windows that offsets are scaled by, too."""
        found = super().options()
        found['qkv_bias'] |= self.layers[0].attn.w_msa.has_biases
        reaches = [stage.blocks[0].attn.w_msa.reach for stage in self.stages]
        return found | dict(pretrained_window_sizes=reaches)

    def adapt_on_load(self, state: dict[str, Tensor], prefix: str = '', *_) -> None:
        """As of `TokenPyramid`; says what weights need whose offsets were scaled otherwise."""
        attentions = [stage.blocks[0].attn.w_msa for stage in self.stages]
        place = f'{prefix}stages.{{}}.blocks.0.attn.w_msa.{OFFSETS}'
        names = map(place.format, range(len(attentions)))
        own = tuple(attention.reach + 1 for attention in attentions)
        # Where a file leaves them out, nothing says it.
        found = tuple(
            window_of(state[name]) or mine if name in state else mine
            for name, mine in zip(names, own, strict=True)
        )
        if found != own:
            print_log(
                f'the relative positions of the weights are scaled by windows of {found} tokens a '
                f'side, those of this backbone by {own}: set pretrained_window_sizes={found}, or '
                'it computes something else',
                logger='current',
                level=logging.WARNING,
            )
        super().adapt_on_load(state, prefix)

    def make_attention(
        self, stage: int, embed_dims: int, num_heads: int, window_size: int
    ) -> WindowAttention:
        sizes = self.pretrained_window_sizes
        sizes = (0,) * len(self.depths) if sizes is None else sizes
        if not isinstance(sizes, (list, tuple)) or len(sizes) != len(self.depths):
            raise UserError(
                f'pretrained_window_sizes {sizes!r} is not a number for each of the '
                f'{len(self.depths)} stages; give one of each'
            )
        return self.attention(
            embed_dims,
            num_heads,
            window_size,
            pretrained_window_size=sizes[stage],
            **self._attention,
        )
