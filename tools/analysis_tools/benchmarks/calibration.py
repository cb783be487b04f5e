"""What calibrating DeiT-T costs a training step: each stage, part of a batch, and LIFE."""

from functools import partial
from typing import Any

from mmtoken.experiments.benchmark_models import build_classifier
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.vit_calibrator import CalibratedClassifier
from mmtoken.vit_calibrator.foreground import AutomaticForeground, Foreground

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn


class UpperHalf(nn.Module):
    """A foreground that costs nothing to find: the upper half of the image."""

    def forward(
        self, inputs: Tensor, samples: list, labels: Tensor, grid: tuple, patch_size: int
    ) -> Foreground:
        """As of `SuppliedForeground`."""
        share = inputs.new_zeros(len(inputs), grid[0] * grid[1])
        share[:, : share.shape[1] // 2] = 1
        return Foreground(share, torch.ones_like(labels, dtype=torch.bool))


class FoundByCopy(nn.Module):
    """`AutomaticForeground`, of images that an untrained model is not sure of, too.

    Args:
        classifier: Which it keeps a copy of.
    """

    def __init__(self, classifier: CalibratedClassifier) -> None:
        super().__init__()
        self.automatic = AutomaticForeground()
        self.automatic.remember(classifier)

    def forward(self, *batch: Any) -> Foreground:
        """As of `SuppliedForeground`."""
        share = self.automatic(*batch).share
        return Foreground(share, share.new_ones(len(share), dtype=torch.bool))


def build(
    img_size: int,
    losses: tuple[str, ...],
    images: float = 1.0,
    automatic: bool = False,
    backbone: str = 'TokenViT',
) -> nn.Module:
    """DeiT-T whose losses act.

    Args:
        img_size: Height and width in pixels.
        losses: Their names.
        images: Share of the batch that is calibrated.
        automatic: Whether the foreground is found by a copy of the model.
        backbone: Its type.

    Returns:
        The classifier.
    """
    kinds = dict(token='TokenPropagation', dimension='DimensionPropagation')
    model: dict[str, Any] = dict(
        type='CalibratedClassifier',
        calibration={name: dict(type=kind) for name, kind in kinds.items()},
        foreground=dict(type='SuppliedForeground'),
        images=images,
    )
    classifier = build_classifier(
        dict(type=backbone, arch='deit-tiny', patch_size=16), img_size, model
    )
    classifier.foreground = FoundByCopy(classifier) if automatic else UpperHalf()
    classifier.set_active(losses)
    draw = torch.Generator().manual_seed(0)
    for layer in classifier.calibration['dimension'].layers:
        rules = torch.rand(1000, 192, generator=draw) < 0.2
        classifier.calibration['dimension'].put_rules(layer, rules)
    return classifier


def loss(model: nn.Module, images: Tensor) -> Tensor:
    """The sum of all losses against arbitrary labels.

    Args:
        model: The classifier.
        images: (B, 3, height, width).

    Returns:
        A scalar.
    """
    samples = [DataSample().set_gt_label(i % 10).to(images.device) for i in range(len(images))]
    found = model(images, samples, mode='loss')
    return sum(value for name, value in found.items() if 'loss' in name)


PRESET = Preset(
    title='DeiT-T: a plain training step, and one that calibrates',
    rows=[
        Row('plain', partial(build, losses=()), loss),
        Row('tokens, later half of the layers', partial(build, losses=('token',)), loss),
        Row('tokens, half of the batch', partial(build, losses=('token',), images=0.5), loss),
        Row('tokens, foreground found', partial(build, losses=('token',), automatic=True), loss),
        Row(
            'tokens, half of the batch, foreground found',
            partial(build, losses=('token',), images=0.5, automatic=True),
            loss,
        ),
        Row('dimensions, last layer', partial(build, losses=('dimension',)), loss),
        Row('LIFE, plain', partial(build, losses=(), backbone='LIFEViT'), loss),
        Row(
            'LIFE, tokens, later half of the layers',
            partial(build, losses=('token',), backbone='LIFEViT'),
            loss,
        ),
    ],
    ratios=[
        Ratio('tokens, later half of the layers', 'plain', {224: 2.6}),
        Ratio('tokens, half of the batch', 'plain'),
        Ratio('tokens, foreground found', 'plain', {224: 2.6}),
        Ratio('tokens, half of the batch, foreground found', 'plain', {224: 2.6}),
        Ratio('dimensions, last layer', 'plain', {224: 2.2}),
        Ratio('LIFE, tokens, later half of the layers', 'LIFE, plain', {224: 2.6}),
        Ratio('tokens, later half of the layers', 'plain', of='memory'),
        Ratio('tokens, foreground found', 'plain', of='memory'),
        Ratio('dimensions, last layer', 'plain', of='memory'),
        Ratio('LIFE, tokens, later half of the layers', 'LIFE, plain', of='memory'),
    ],
    cases=[(224, 8)],
    modes=['train'],
)
