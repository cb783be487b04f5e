"""Our Swin-T and mmpretrain's: classification at 224 px, and the four maps of a detector at 640."""

from functools import partial

from mmtoken.experiments.benchmark_models import backbone_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.swin import Swin

from mmpretrain.models import SwinTransformer
from torch import nn


class TheirSwin(SwinTransformer):
    """mmpretrain's, whose `train` returns itself, as torch's does."""

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        return self


def build(img_size: int, kind: type) -> nn.Module:
    """Swin-T with all its maps.

    Args:
        img_size: Height and width in pixels.
        kind: Its class.

    Returns:
        The backbone.
    """
    return kind(
        arch='tiny',
        img_size=img_size,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        pad_small_map=True,
    )


PRESET = Preset(
    title="Swin-T: mmpretrain's and ours",
    rows=[
        Row('SwinTransformer', partial(build, kind=TheirSwin), backbone_loss),
        Row('Swin', partial(build, kind=Swin), backbone_loss),
    ],
    ratios=[
        Ratio('Swin', 'SwinTransformer', {224: 1.00, 640: 1.00}),
        Ratio('Swin', 'SwinTransformer', of='memory'),
    ],
    cases=[(224, 8), (640, 1)],
)
