"""LV-ViT-S beside timm's ViT-S, which has 0.71 times its multiply-adds: 4.61 and 6.49 G without
heads, as `get_flops.py` counts.
"""

from mmtoken.errors import UserError
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

from mmpretrain.registry import MODELS
from torch import Tensor, nn


def build_ours(img_size: int) -> nn.Module:
    """LV-ViT-S without a head."""
    return MODELS.build(dict(type='LVViT', arch='small', img_size=img_size))


def build_timm(img_size: int) -> nn.Module:
    """timm's ViT-S without a head.

    Raises:
        UserError: If timm is not installed.
    """
    try:
        from timm import create_model
    except ImportError:
        raise UserError(
            'the preset lv_vit times a model of timm, which is not installed; pip install timm'
        ) from None
    return create_model('vit_small_patch16_224', img_size=img_size, num_classes=0)


def total(model: nn.Module, images: Tensor) -> Tensor:
    """The sum of the class tokens."""
    out = model(images)
    return (out if isinstance(out, Tensor) else out[-1]).sum()


PRESET = Preset(
    title="LV-ViT-S (6.49 G multiply-adds) and timm's vit_small_patch16_224 (4.61 G)",
    rows=[Row('timm ViT-S', build_timm, total), Row('LVViT-S', build_ours, total)],
    ratios=[Ratio('LVViT-S', 'timm ViT-S')],
    cases=[(224, 8)],
    modes=['infer', 'train'],
)
