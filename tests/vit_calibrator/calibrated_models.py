"""A small calibrated classifier, its images, and what its losses must be by another way."""

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmtoken.vit_calibrator.foreground import Foreground

CLASSES = 5
ARCH = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
LOSSES = dict(
    token=dict(type='TokenPropagation'),
    dimension=dict(type='DimensionPropagation', runner_up=0.5),
    inter=dict(type='InterTokenLoss'),
    intra=dict(type='IntraTokenLoss'),
    channel=dict(type='ChannelLoss'),
)
VARIANTS = {
    'class token': {},
    'mean': dict(out_type='avg_featmap'),
    'no auxiliary tokens': dict(out_type='avg_featmap', num_aux_tokens=0),
    'registers': dict(num_aux_tokens=5, num_registers=4),
    'pooled': dict(pool_before=(2,)),
    'shared': dict(pattern='FSFS'),
    'recomputed': dict(with_cp=True),
}


class GivenForeground(nn.Module):
    """A foreground that a test gives.

    Args:
        share: (B, H·W).
        known: (B,); all by default.
    """

    def __init__(self, share, known=None):
        super().__init__()
        self.share = share
        self.known = torch.ones(len(share), dtype=torch.bool) if known is None else known

    def remember(self, classifier):
        pass

    def forward(self, inputs, data_samples, labels, grid, patch_size):
        return Foreground(self.share[: len(inputs)], self.known[: len(inputs)])


def build(backbone='TokenViT', calibration=LOSSES, seed=0, **options):
    """A classifier of 16 patches whose rules and foreground are drawn."""
    model = {k: options.pop(k) for k in ('foreground', 'images', 'neck') if k in options}
    torch.manual_seed(seed)
    built = MODELS.build(
        dict(
            type='CalibratedClassifier',
            backbone=dict(
                type=backbone, **{'arch': ARCH, 'img_size': 16, 'patch_size': 4, **options}
            ),
            head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=24),
            calibration=calibration,
            **{'foreground': dict(type='AutomaticForeground'), **model},
        )
    )
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3)
    if 'foreground' not in model:
        built.foreground = GivenForeground((torch.rand(4, 16) < 0.5).float())
    for loss in built.calibration.values():
        for layer, width in loss.widths.items() if loss.needs_rules else ():
            loss.put_rules(layer, torch.rand(CLASSES, width) < 0.4)
    return built.train()


def images(batch=4):
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def samples(labels=(3, 0, 4, 1)):
    return [DataSample().set_gt_label(label) for label in labels]


def total(losses):
    """What is trained on."""
    return sum(value for name, value in losses.items() if 'loss' in name)


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
