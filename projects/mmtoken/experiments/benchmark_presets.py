"""The benchmark's presets, each a list of rows and the ratios between them.

A new one is a function in ``PRESETS``.
"""

from collections.abc import Callable
from functools import partial
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


def life_preset() -> Preset:
    """What TokenViT costs over mmpretrain's ViT, and LIFE over TokenViT, at DeiT-T's size."""

    def row(name: str, **backbone: Any) -> Row:
        return Row(name, partial(build_classifier, backbone), classifier_loss)

    # qkv_bias and the class token are the defaults of all three.
    rows = (
        row('VisionTransformer', type='VisionTransformer', arch='deit-tiny', patch_size=16),
        row('TokenViT', type='TokenViT', arch='deit-tiny', patch_size=16),
        row('LIFEViT', type='LIFEViT', arch='deit-tiny', patch_size=16),
    )
    ratios = (
        Ratio('TokenViT', 'VisionTransformer', 1.02),
        Ratio('LIFEViT', 'TokenViT', 1.12),
    )
    title = "DeiT-T: mmpretrain's VisionTransformer, TokenViT and LIFEViT"
    return Preset(title, rows, ratios, ((224, 8), (512, 2)))


def tl_align_preset() -> Preset:
    """What aligned targets cost over CutMix's, and K-channel labels would, at DeiT-T's size."""
    from mmtoken.experiments.benchmark_anchors import KChannelClassifier

    def row(name: str, kind: str | type, **options: Any) -> Row:
        model = dict(type=kind, **options)
        backbone = dict(type='TokenViT', arch='deit-tiny', patch_size=16)
        return Row(name, partial(build_classifier, backbone, model=model), classifier_loss)

    rows = (
        row('CutMix', 'TLAlignClassifier', target='cutmix'),
        row('TL-Align', 'TLAlignClassifier'),
        row('TL-Align, K channels', KChannelClassifier),
    )
    # 224 and 512 px are 197 and 1,025 tokens.
    ratios = (
        Ratio('TL-Align', 'CutMix', {224: 1.05, 512: 1.15}),
        Ratio('TL-Align, K channels', 'CutMix'),
    )
    title = 'DeiT-T: CutMix, TL-Align, and TL-Align with K = 1000 label channels'
    return Preset(title, rows, ratios, ((224, 8), (512, 2)))


def rollout_preset() -> Preset:
    """What rolling a prediction back costs over the prediction, and matrices would, for DeiT-T."""
    from mmtoken.experiments.benchmark_rollout import (
        apply_matrices,
        multiply_matrices,
        predict,
        roll_out,
    )

    build = partial(build_classifier, dict(type='TokenViT', arch='deit-tiny', patch_size=16))
    rows = (
        Row('forward', build, predict),
        Row('roll-out, 1 set', build, roll_out),
        Row('roll-out, 16 sets', build, partial(roll_out, num_sets=16)),
        Row('matrix by matrix', build, partial(roll_out, back=apply_matrices)),
        Row('explicit product', build, partial(roll_out, back=multiply_matrices)),
    )
    # Three forward passes, and two more for each set; a fifth of the memory.
    ratios = (
        Ratio('roll-out, 1 set', 'forward', 5.0),
        Ratio('roll-out, 16 sets', 'forward', 35.0),
        Ratio('matrix by matrix', 'forward'),
        Ratio('explicit product', 'forward'),
        Ratio('roll-out, 1 set', 'matrix by matrix', of='memory'),
        Ratio('roll-out, 1 set', 'explicit product', 0.2, of='memory'),
        Ratio('roll-out, 16 sets', 'explicit product', 0.2, of='memory'),
    )
    title = 'DeiT-T: a prediction, alone and with its roll-out for sets of tokens'
    # 64 x 64 patches
    return Preset(title, rows, ratios, ((1024, 1),), ('infer',))


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


PRESETS: dict[str, Callable[[], Preset]] = {
    'life': life_preset,
    'rollout': rollout_preset,
    'tl_align': tl_align_preset,
}
