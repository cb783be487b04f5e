"""A feature pyramid from the one map of a plain vision transformer."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.vit.building import build_norm

NORM = dict(type='LN2d', eps=1e-6)


class HalvingConv2d(nn.Conv2d):
    """A 2×2 convolution of stride 2 over maps of any size: an odd side gets one row or column of
    zeros at the bottom or right.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, ⌈H/2⌉, ⌈W/2⌉)."""
        height, width = x.shape[-2:]
        return super().forward(F.pad(x, (0, width % 2, 0, height % 2)))


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """ViTDet's simple feature pyramid (Li et al. 2022, arXiv 2203.16527, §3), for mmdet and
    mmsegmentation.

    Every level starts from the same map: transposed convolutions halve the stride, max pooling
    doubles it, and a 1×1 and a 3×3 convolution, each with LayerNorm, make the output. Halving more
    than once has LayerNorm and GELU between the steps. Learned down-sampling is our default;
    `down='pool'` is ViTDet's. Odd sides are rounded up, as by the strided convolutions of other
    backbones and by mmdet's anchors, so that every pixel reaches every level.

    Args:
        in_channels: Channels of the backbone's map.
        out_channels: Channels of every level.
        strides: Strides of the levels, in pixels of the image, each `patch_size` times a power of
            two; 3.5, 7, 14 and 28 of patches of 14.
        patch_size: The stride of the map that comes in: the backbone's patch size, doubled for
            every layer that pools before it. `PyramidCheckHook` compares the two before a run.
        num_outs: Number of outputs; those beyond `strides` are subsampled from the level before, as
            RPNs like one level more than the box head. None: as many as `strides`.
        down: 'conv', a learned 2×2 convolution with stride 2 per halving of the resolution, or
            'pool', ViTDet's.
        norm_cfg: Config of the norms, over the channels.
        init_cfg: mmengine's initialization config.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        strides: Sequence[float] = (4, 8, 16, 32),
        patch_size: int = 16,
        num_outs: int | None = None,
        down: str = 'conv',
        norm_cfg: dict = NORM,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if patch_size < 1:
            raise UserError(
                f"patch_size {patch_size} is no stride; give the backbone's, such as 16"
            )
        wrong = [s for s in strides if s < 1 or not log2(s / patch_size).is_integer()]
        if wrong or not strides:
            quarters = [patch_size * factor for factor in (1, 2, 4, 8)]
            fitting = tuple(stride // 4 for stride in quarters if stride % 4 == 0)
            raise UserError(
                f'strides {tuple(strides)} must each be patch_size {patch_size} times a power of '
                f'two, such as {fitting}'
            )
        if num_outs is not None and num_outs < len(strides):
            raise UserError(
                f'num_outs {num_outs} is less than the {len(strides)} strides {tuple(strides)}; '
                f'give {len(strides)} or more, or leave it out'
            )
        if down not in ('conv', 'pool'):
            raise UserError(f"down {down!r} is unknown; use 'conv' or 'pool'")
        self.in_channels = in_channels
        self.patch_size = patch_size
        self.num_extra = (num_outs or len(strides)) - len(strides)
        self.levels = nn.ModuleList(
            self._level(in_channels, out_channels, int(log2(patch_size / stride)), down, norm_cfg)
            for stride in strides
        )

    @staticmethod
    def _level(
        channels: int, out_channels: int, halvings: int, down: str, norm_cfg: dict
    ) -> nn.Sequential:
        """One level: `halvings` halvings of the stride (doublings where negative), then the two
        convolutions.
        """
        steps: list[nn.Module] = []
        for step in range(halvings):
            if step:
                steps += [build_norm(norm_cfg, channels, NORM), nn.GELU()]
            steps.append(nn.ConvTranspose2d(channels, channels // 2, kernel_size=2, stride=2))
            channels //= 2
        for _ in range(-halvings):
            steps.append(
                HalvingConv2d(channels)
                if down == 'conv'
                else nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True)
            )
        return nn.Sequential(
            *steps,
            nn.Conv2d(channels, out_channels, kernel_size=1, bias=False),
            build_norm(norm_cfg, out_channels, NORM),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            build_norm(norm_cfg, out_channels, NORM),
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Make the pyramid.

        Args:
            inputs: The backbone's outputs; the last, (B, C, H, W), is used.

        Returns:
            One contiguous (B, out_channels, H_i, W_i) map per level, in the order of `strides`; H_i
            is ⌈H·patch_size / stride⌉. Contiguous, because mmcv's RoIAlign reads channels-last
            memory as if it were channels-first.

        Raises:
            UserError: If the map has other channels than `in_channels`.
        """
        x = inputs[-1]
        # Of class and distillation token, the backbone returns a pair.
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != self.in_channels:
            got = f'a map of shape {tuple(x.shape)}' if isinstance(x, Tensor) else 'no map'
            raise UserError(
                f'SimpleFeaturePyramid got {got}; expected (B, {self.in_channels}, H, W): set the '
                "backbone's out_type='featmap' and in_channels to its embed_dims"
            )
        outs = [level(x).contiguous() for level in self.levels]
        for _ in range(self.num_extra):
            outs.append(F.max_pool2d(outs[-1], kernel_size=1, stride=2).contiguous())
        return tuple(outs)
