"""Swin, a pyramid whose blocks attend within shifted windows (Liu et al., arXiv 2103.14030)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.pyramid import PyramidBlock, ShiftedWindows, TokenPyramid, WindowAttention
from mmtoken.pyramid.arguments import check_attention
from mmtoken.vit.building import PROJECTION, complete
from mmtoken.vit.options import projection_options

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
        window_size: Tokens per side of a window, of all stages or of each.
        pad_small_map: Whether grids that are no larger than a window are padded to windows and
            shifted, as in detection and segmentation; otherwise they are one window.
        projection: Config of the q, k, v projection of every block, which sees a window as its
            grid unless it has `scope='grid'`.
        qkv_bias: Whether it has a bias.
        qk_scale: What q·kᵀ is multiplied by; 1/√d by default.
        attn_drop_rate: Dropout probability of the attention weights.
        **kwargs: As of `TokenPyramid`.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    archs = ARCHS
    block = PyramidBlock
    attention = WindowAttention
    per_axis = False

    def __init__(
        self,
        *args,
        window_size: int | Sequence[int] = 7,
        pad_small_map: bool = False,
        projection: dict | None = None,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        **kwargs,
    ) -> None:
        for size in window_size if isinstance(window_size, (list, tuple)) else [window_size]:
            check_whole('window_size', size, least=2, example=7)
        check_attention(qk_scale, attn_drop_rate)
        self.window_size, self.pad_small_map = window_size, pad_small_map
        self._attention = dict(
            projection=complete(projection, PROJECTION),
            qkv_bias=qkv_bias,
            qk_scale=qk_scale,
            attn_drop=attn_drop_rate,
        )
        super().__init__(*args, **kwargs)

    def options(self) -> dict[str, Any]:
        """As of `TokenPyramid`; not the window, which the coverage logs, nor `pad_small_map`, of
        small images.
        """
        mixer = self.layers[0].attn.w_msa
        return super().options() | projection_options(mixer.qkv) | dict(qk_scale=mixer.qk_scale)

    def make_block(self, index: int, drop_path_rate: float, norm_cfg: dict) -> nn.Module:
        plan = self.plans[index]
        size = self.window_of(plan.stage)
        odd = (index - sum(self.depths[: plan.stage])) % 2
        mixer = ShiftedWindows(
            self.make_attention(plan.stage, plan.embed_dims, plan.num_heads, size),
            size,
            size // 2 if odd else 0,
            self.pad_small_map,
            self.per_axis,
        )
        return self.block(
            mixer, plan.embed_dims, plan.feedforward_channels, drop_path_rate, norm_cfg
        )

    def make_attention(
        self, stage: int, embed_dims: int, num_heads: int, window_size: int
    ) -> WindowAttention:
        """What attends within the windows of a block of a stage."""
        return self.attention(embed_dims, num_heads, window_size, **self._attention)

    def window_of(self, stage: int) -> int:
        """Tokens per side of a stage's windows."""
        if not isinstance(self.window_size, (list, tuple)):
            return self.window_size
        if len(self.window_size) != len(self.depths):
            raise UserError(
                f'window_size {self.window_size} has {len(self.window_size)} numbers for '
                f'{len(self.depths)} stages; give one, or one of each'
            )
        return self.window_size[stage]
