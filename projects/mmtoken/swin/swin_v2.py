"""Swin V2: cosine attention, positions by an MLP, norms that end branches (arXiv 2111.09883)."""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.registry import MODELS

from mmtoken.errors import UserError
from mmtoken.pyramid import PostNormBlock, WindowAttention

from .swin import Swin
from .window_attention_v2 import WindowAttentionV2


@MODELS.register_module()
class SwinV2(Swin):
    """Swin V2 over `Tokens`: parameter names are those of mmpretrain's `SwinTransformerV2`, so its
    weights load as they are.

    With `projection=dict(type='LIFEProjection')` it is LIFE's Swin V2 (arXiv 2305.08551, as
    released), without the biases of q and v that nothing reads there.

    A grid that is no larger than a window on one side is unshifted along that side alone, as in
    timm's and LIFE's code; mmpretrain then shifts neither.

    Args:
        *args: As of `Swin`.
        img_size: As of `TokenPyramid`.
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
        *args,
        img_size: int | tuple[int, int] = 256,
        window_size: int | Sequence[int] = 8,
        pretrained_window_sizes: Sequence[int] | None = None,
        **kwargs,
    ) -> None:
        self.pretrained_window_sizes = pretrained_window_sizes
        super().__init__(*args, img_size=img_size, window_size=window_size, **kwargs)

    def make_attention(
        self, stage: int, embed_dims: int, num_heads: int, window_size: int
    ) -> WindowAttention:
        sizes = self.pretrained_window_sizes or (0,) * len(self.depths)
        if len(sizes) != len(self.depths):
            raise UserError(
                f'pretrained_window_sizes {sizes} has {len(sizes)} numbers for '
                f'{len(self.depths)} stages; give one of each'
            )
        return self.attention(
            embed_dims,
            num_heads,
            window_size,
            pretrained_window_size=sizes[stage],
            **self._attention,
        )
