"""Small models, and TL-Align's labels as the paper has them: K channels and explicit attention."""

from __future__ import annotations

import torch
from explicit_attention import explicit_trace
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmtoken.mixing import Mixed
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
CLASSES = 5
VARIANTS = {
    'plain': {},
    'windowed': dict(window_size=3, global_attn_indexes=(1,)),
    'average-pooled': dict(out_type='avg_featmap'),
    'no-aux': dict(num_aux_tokens=0, out_type='avg_featmap'),
    'map-and-neck': dict(out_type='featmap', neck=dict(type='GlobalAveragePooling')),
    'distilled': dict(num_aux_tokens=2),
    'class and registers': dict(num_aux_tokens=5, num_registers=4),
    'pooled': dict(pool_before=(1,)),
    'pooled-twice': dict(pool_before=(1, -1), num_aux_tokens=0, out_type='avg_featmap'),
}


def build(backbone: str = 'TokenViT', kind: str = 'TLAlignClassifier', **options):
    """A small classifier in training mode, with weights that make attention far from uniform."""
    torch.manual_seed(0)
    own = {k: options.pop(k) for k in ('mix', 'target', 'neck', 'train_cfg') if k in options}
    loss = options.pop('loss', dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'))
    options = {'arch': ARCH, 'img_size': 24, 'patch_size': 4, **options}
    two = options.get('num_aux_tokens', 1) - options.get('num_registers', 0) > 1
    paired = two and 'out_type' not in options
    head = 'DeiTClsHead' if paired else 'VisionTransformerClsHead'
    model = MODELS.build(
        dict(
            type=kind,
            backbone=dict(type=backbone, **options),
            head=dict(type=head, num_classes=CLASSES, in_channels=24, loss=loss),
            **own,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.train()


def samples(labels: list[int]) -> list[DataSample]:
    """Labels as a data loader gives them."""
    return [DataSample().set_gt_label(label) for label in labels]


def explicit_labels(backbone: TokenViT, mixed: Mixed, scores: Tensor) -> Tensor:
    """Labels of all tokens after the last layer, (B, A + H·W, K), by full attention matrices."""
    own, partner = scores[:, None], scores.flip(0)[:, None]
    lam, mask = mixed.lam[:, None, None], mixed.mask.flatten(1)[:, :, None]
    aux = (lam * own + (1 - lam) * partner).expand(-1, backbone.num_aux_tokens, -1)
    labels = torch.cat([aux, torch.where(mask, partner, own)], dim=1)
    return explicit_trace(backbone, mixed.images, labels)
