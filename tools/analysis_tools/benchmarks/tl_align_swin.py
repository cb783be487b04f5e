"""TL-Align and CutMix on Swin-T: what labels cost that go through windows and mergings."""

from functools import partial

from mmtoken.experiments.benchmark_models import classifier_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

from mmpretrain.registry import MODELS
from torch import nn


def build(img_size: int, target: str) -> nn.Module:
    """A classifier over Swin-T that mixes every batch.

    Args:
        img_size: Height and width in pixels.
        target: What labels are.

    Returns:
        The classifier.
    """
    return MODELS.build(
        dict(
            type='TLAlignClassifier',
            target=target,
            backbone=dict(type='Swin', arch='tiny', img_size=img_size, drop_path_rate=0.2),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=1000, in_channels=768),
        )
    )


PRESET = Preset(
    title='TL-Align on Swin-T',
    rows=[
        Row('CutMix', partial(build, target='cutmix'), classifier_loss),
        Row('TL-Align', partial(build, target='tl_align'), classifier_loss),
    ],
    ratios=[Ratio('TL-Align', 'CutMix', 1.05), Ratio('TL-Align', 'CutMix', of='memory')],
    modes=('train',),
)
