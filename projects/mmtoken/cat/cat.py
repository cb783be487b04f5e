"""CAT, a pyramid that attends inside windows and between them in turn (arXiv 2106.05786)."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.checks import check_whole
from mmtoken.pyramid import PyramidBlock, ShiftedWindows, TokenPyramid, WindowAttention
from mmtoken.pyramid.arguments import check_attention
from mmtoken.vit.building import PROJECTION, complete
from mmtoken.vit.options import projection_options

from .cross_patch import CrossPatchAttention

# The released configs'; their drop path rates are 0.1, 0.2 and 0.3.
ARCHS = {
    'tiny': dict(embed_dims=64, depths=(1, 1, 3, 1), num_heads=(2, 4, 8, 16)),
    'small': dict(embed_dims=96, depths=(1, 1, 3, 1), num_heads=(3, 6, 12, 24)),
    'base': dict(embed_dims=96, depths=(1, 1, 6, 1), num_heads=(3, 6, 12, 24)),
}


@MODELS.register_module()
class CAT(TokenPyramid):
    """CAT over `Tokens`: one of `depths` counts a unit of three blocks, which attend inside windows
    (IPSA), between them (CPSA), and inside them again, each with an MLP of its own.

    Args:
        *args: As of `TokenPyramid`; stochastic depth is the same within a unit, and grows linearly
            over the units.
        window_size: Tokens per side of a window, which the paper calls a patch of attention; not to
            be confused with `patch_size`, of pixels. Weights of other windows do not fit: they are
            the width of CPSA.
        pad_small_map: Whether windows are of that size everywhere and smaller grids are padded
            to it, as the released dense code has it; then images of every size take the same
            weights. Otherwise the windows of a stage are no larger than its grid at `img_size`, as
            in the released classifier, and grids of images smaller than a window are refused.
            Larger grids that windows do not divide, which that classifier refuses, are padded in
            either case.
        use_abs_pos_embed: As of `TokenPyramid`; on, as it is in all published configs: nothing else
            tells CPSA where windows lie.
        projection: Config of the q, k, v projection of IPSA, which sees a window as its grid unless
            it has `scope='grid'`; that of CPSA, whose features are places, is always linear.
        qkv_bias: Whether the q, k, v projections of both kinds have a bias.
        qk_scale: What q·kᵀ is multiplied by in both kinds; by default 1/√d of their own widths, C/h
            and `window_size`².
        attn_drop_rate: Dropout probability of the attention weights of both kinds.
        **kwargs: As of `TokenPyramid`.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    archs = ARCHS
    blocks_per_depth = 3

    def __init__(
        self,
        *args,
        window_size: int = 7,
        pad_small_map: bool = False,
        use_abs_pos_embed: bool = True,
        projection: dict | None = None,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        **kwargs,
    ) -> None:
        check_whole('window_size', window_size, least=2, example=7)
        check_attention(qk_scale, attn_drop_rate)
        self.window_size, self.pad_small_map = window_size, pad_small_map
        self._projection = complete(projection, PROJECTION)
        self._attention = dict(qkv_bias=qkv_bias, qk_scale=qk_scale, attn_drop=attn_drop_rate)
        super().__init__(*args, use_abs_pos_embed=use_abs_pos_embed, **kwargs)

    def options(self) -> dict[str, Any]:
        """As of `TokenPyramid`."""
        mixer = self.layers[0].attn.w_msa
        windows = [self.window_of(stage) for stage in range(len(self.depths))]
        return (
            super().options()
            | projection_options(mixer.qkv)
            | dict(
                qk_scale=mixer.qk_scale,
                window_size=self.window_size,
                # Where grids bound windows, which weights are of, these say so.
                img_size=windows,
                pad_small_map=min(windows) == self.window_size,
            )
        )

    def make_block(self, index: int, drop_path_rate: float, norm_cfg: dict) -> nn.Module:
        plan = self.plans[index]
        size = self.window_of(plan.stage)
        # Stages begin with a unit, and units are inside, between, inside.
        if index % self.blocks_per_depth == 1:
            mixer = CrossPatchAttention(size, **self._attention)
        else:
            attention = WindowAttention(
                plan.embed_dims, plan.num_heads, size, self._projection, **self._attention
            )
            mixer = ShiftedWindows(attention, size, pad_small_map=self.pad_small_map)
        return PyramidBlock(
            mixer, plan.embed_dims, plan.feedforward_channels, drop_path_rate, norm_cfg
        )

    def window_of(self, stage: int) -> int:
        """Tokens per side of a stage's windows."""
        if self.pad_small_map:
            return self.window_size
        # Merging rounds up.
        grid = (-(-side // 2**stage) for side in self.patch_resolution)
        return min(self.window_size, *grid)

    def drop_path_rates(self, last: float) -> list[float]:
        """The stochastic depth of each block, linear over the units from 0 to that of the last."""
        units = self.num_layers // self.blocks_per_depth
        return np.linspace(0, last, units).repeat(self.blocks_per_depth).tolist()
