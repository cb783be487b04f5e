"""Swin-T and what has another mixer in its place: CAT-S, and DWNet-T with its three kernels; the
inhomogeneous one also as its definition is written, with an unfolded map, in the network and alone.
"""

from functools import partial

from mmtoken.cat import CAT
from mmtoken.dwnet import DWNet
from mmtoken.dwnet.inhomogeneous import InhomogeneousConv
from mmtoken.experiments.benchmark_models import backbone_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.swin import Swin

import torch.nn.functional as F
from torch import Tensor, nn

STATIC, HOMOGENEOUS, INHOMOGENEOUS = 'DWNet-T', 'dynamic DWNet-T', 'I-D-DWNet-T'
UNFOLDED = 'I-D-DWNet-T, unfolded'
CONV, UNFOLDED_CONV = 'I-D convolution', 'I-D convolution, unfolded'


def build(img_size: int, kind: type, arch: str = 'tiny', **options) -> nn.Module:
    """A pyramid with all its maps.

    Args:
        img_size: Height and width in pixels.
        kind: Its class.
        arch: Its preset.
        **options: As of the class.

    Returns:
        The backbone.
    """
    maps = dict(img_size=img_size, out_indices=(0, 1, 2, 3), drop_path_rate=0.2)
    return kind(arch=arch, **maps, **options)


def unfolded_sum(x: Tensor, weights: Tensor, kernel_size: int) -> Tensor:
    """The sum over windows of every position, the windows copied out of the map first.

    Args:
        x: (B, C, H, W).
        weights: (B, G, k², H, W).
        kernel_size: k.

    Returns:
        (B, C, H, W).
    """
    groups = weights.shape[1]
    # (B, C·k², H·W) → (B, G, C/G, k², H·W)
    windows = F.unfold(x, kernel_size, padding=kernel_size // 2)
    windows = windows.view(len(x), groups, -1, kernel_size**2, windows.shape[-1])
    return (windows * weights.flatten(3).unsqueeze(2)).sum(dim=3).view_as(x)


class UnfoldedConv(InhomogeneousConv):
    """Sums over an unfolded map."""

    def forward(self, x: Tensor) -> Tensor:
        return unfolded_sum(x.contiguous(), self.predict(x.contiguous()), self.kernel_size)


def build_unfolded(img_size: int) -> nn.Module:
    """I-D-DWNet-T whose convolutions unfold their map."""
    backbone = build(img_size, DWNet, kernel='inhomogeneous')
    for module in backbone.modules():
        if isinstance(module, InhomogeneousConv):
            module.__class__ = UnfoldedConv
    return backbone


class ConvAlone(nn.Sequential):
    """The stem of DWNet-T and one inhomogeneous convolution.

    Args:
        kind: Class of the convolution.
    """

    def __init__(self, kind: type) -> None:
        super().__init__(nn.Conv2d(3, 96, 4, stride=4), kind(96, 7))

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (super().forward(images),)


def build_conv(img_size: int, kind: type) -> nn.Module:
    """As `ConvAlone`, for images of any size."""
    return ConvAlone(kind)


PRESET = Preset(
    title='Swin-T, CAT-S and DWNet-T',
    rows=[
        Row('Swin-T', partial(build, kind=Swin), backbone_loss),
        Row('CAT-S', partial(build, kind=CAT, arch='small'), backbone_loss),
        Row(STATIC, partial(build, kind=DWNet), backbone_loss),
        Row(HOMOGENEOUS, partial(build, kind=DWNet, kernel='homogeneous'), backbone_loss),
        Row(INHOMOGENEOUS, partial(build, kind=DWNet, kernel='inhomogeneous'), backbone_loss),
        Row(UNFOLDED, build_unfolded, backbone_loss),
        Row(CONV, partial(build_conv, kind=InhomogeneousConv), backbone_loss),
        Row(UNFOLDED_CONV, partial(build_conv, kind=UnfoldedConv), backbone_loss),
    ],
    ratios=[
        Ratio('CAT-S', 'Swin-T'),
        Ratio(STATIC, 'Swin-T'),
        Ratio(HOMOGENEOUS, STATIC),
        Ratio(INHOMOGENEOUS, STATIC),
        Ratio(INHOMOGENEOUS, UNFOLDED),
        Ratio('CAT-S', 'Swin-T', of='memory'),
        Ratio(INHOMOGENEOUS, STATIC, of='memory'),
        Ratio(INHOMOGENEOUS, UNFOLDED, of='memory'),
        Ratio(CONV, UNFOLDED_CONV),
        # What is not the convolution's is the network's in both forms.
        Ratio(CONV, UNFOLDED_CONV, 0.25, of='memory'),
    ],
    cases=[(224, 4)],
)
