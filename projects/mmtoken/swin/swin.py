"""Swin, a pyramid whose blocks attend within shifted windows (Liu et al., arXiv 2103.14030)."""

from __future__ import annotations

from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.checks import check_whole
from mmtoken.pyramid import PyramidBlock, TokenPyramid
from mmtoken.vit.building import PROJECTION, complete

from .window_attention import ShiftedWindowAttention

ARCHS = {
    'tiny': dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
    'small': dict(embed_dims=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
    'base': dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
    'large': dict(embed_dims=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)),
}


@MODELS.register_module()
class Swin(TokenPyramid):
    """Swin over `Tokens`: parameter names are those of mmpretrain's `SwinTransformer`, so its
    weights load as they are.

    Args:
        *args: As of `TokenPyramid`.
        window_size: Tokens per side of a window.
        pad_small_map: Whether grids that are no larger than a window are padded to windows and
            shifted, as in detection and segmentation; otherwise they are one window.
        projection: Config of the q, k, v projection of every block, which sees a window as its
            grid.
        qkv_bias: Whether it has a bias.
        qk_scale: What q·kᵀ is multiplied by; 1/√d by default.
        attn_drop_rate: Dropout probability of the attention weights.
        **kwargs: As of `TokenPyramid`.
    """

    archs = ARCHS

    def __init__(
        self,
        *args,
        window_size: int = 7,
        pad_small_map: bool = False,
        projection: dict | None = None,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        **kwargs,
    ) -> None:
        check_whole('window_size', window_size, least=2, example=7)
        self._attention = dict(
            window_size=window_size,
            pad_small_map=pad_small_map,
            projection=complete(projection, PROJECTION),
            qkv_bias=qkv_bias,
            qk_scale=qk_scale,
            attn_drop=attn_drop_rate,
        )
        super().__init__(*args, **kwargs)

    def make_block(self, index: int, drop_path_rate: float, norm_cfg: dict) -> nn.Module:
        plan = self.plans[index]
        first = index - sum(self.depths[: plan.stage])
        shift = self._attention['window_size'] // 2 if first % 2 else 0
        mixer = ShiftedWindowAttention(
            shift=shift, embed_dims=plan.embed_dims, num_heads=plan.num_heads, **self._attention
        )
        return PyramidBlock(
            mixer, plan.embed_dims, plan.feedforward_channels, drop_path_rate, norm_cfg
        )
