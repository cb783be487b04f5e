"""The models that the benchmark times, and presets made of them: from a file, and of configs."""

import runpy
from functools import partial
from pathlib import Path
from typing import Any

from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.runtime.cli import load_config


def classifier_loss(model: nn.Module, images: Tensor) -> Tensor:
    """Cross-entropy of an mmpretrain classifier against arbitrary labels."""
    samples = [DataSample().set_gt_label(i % 10).to(images.device) for i in range(len(images))]
    if not model.training:
        return sum(score.sum() for score in model(images, samples, mode='tensor'))
    return model(images, samples, mode='loss')['loss']


def backbone_loss(model: nn.Module, images: Tensor) -> Tensor:
    """Mean square of everything a backbone returns."""
    return sum(out.float().square().mean() for out in model(images))


def build_classifier(
    backbone: dict[str, Any], img_size: int, model: dict[str, Any] = dict(type='ImageClassifier')
) -> nn.Module:
    """A classifier of 1000 classes over a DeiT-T-sized backbone.

    Args:
        backbone: Its config, without the image size.
        img_size: Height and width in pixels.
        model: Config of the classifier itself.

    Returns:
        The classifier.
    """
    head = dict(type='VisionTransformerClsHead', num_classes=1000, in_channels=192)
    backbone = dict(img_size=img_size, **backbone)
    return MODELS.build(dict(model, backbone=backbone, head=head))


def build_backbone(config: str, img_size: int) -> nn.Module:
    """The backbone of a config, without pretrained weights.

    Args:
        config: Config file of any of the three libraries.
        img_size: Height and width in pixels.

    Returns:
        The backbone.

    Raises:
        UserError: If the config has none.
    """
    cfg = load_config(config)
    backbone = cfg.get('model', {}).get('backbone')
    if backbone is None:
        raise UserError(f'{config} has no model.backbone, and only backbones are timed')
    backbone.pop('init_cfg', None)
    if 'img_size' in backbone:
        backbone.img_size = img_size
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        return registry.build(backbone)


def load_preset(path: Path) -> Preset:
    """Read a preset from its file (see ``tools/analysis_tools/benchmarks``).

    Args:
        path: A Python file that sets ``PRESET``.

    Returns:
        The preset.
    """
    return runpy.run_path(str(path))['PRESET']


def config_preset(configs: dict[str, str]) -> Preset:
    """The backbones of some configs, each compared to the first.

    Args:
        configs: Config files by name.

    Returns:
        The preset.
    """
    rows = [
        Row(name, partial(build_backbone, path), backbone_loss) for name, path in configs.items()
    ]
    first = rows[0].name
    ratios = [Ratio(row.name, first) for row in rows[1:]]
    return Preset(f'Backbones: {", ".join(configs)}', rows, ratios)
