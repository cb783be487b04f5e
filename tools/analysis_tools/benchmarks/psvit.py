"""PSViT's small presets beside DeiT-T, as many multiply-adds each at 224 px (1.24 and 1.26 G), and
DeiT-T with every second layer sharing (1.12 G)."""

from functools import partial

from mmtoken.experiments.benchmark_models import backbone_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

from mmpretrain.registry import MODELS
from torch import nn

BACKBONES = {
    'DeiT-T': dict(type='TokenViT', arch='deit-tiny'),
    'DeiT-T, FSFS…': dict(type='TokenViT', arch='deit-tiny', pattern='FS' * 6),
    'PSViT-1D-Ti': dict(type='PSViT', arch='1d-tiny'),
    'PSViT-2D-Ti': dict(type='PSViT', arch='2d-tiny'),
}


def build(cfg: dict, img_size: int) -> nn.Module:
    """A backbone without a head."""
    return MODELS.build(dict(cfg, img_size=img_size))


PRESET = Preset(
    title='PSViT (our design), and DeiT-T that shares, over DeiT-T',
    rows=[Row(name, partial(build, cfg), backbone_loss) for name, cfg in BACKBONES.items()],
    ratios=[
        Ratio(name, 'DeiT-T', of=of) for name in list(BACKBONES)[1:] for of in ('time', 'memory')
    ],
    cases=[(224, 8), (512, 2)],
)
