"""Every registered backbone, small, in every variant that the contract holds for."""

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
BACKBONES = sorted(
    name
    for name, cls in MODELS.module_dict.items()
    if isinstance(cls, type) and issubclass(cls, TokenViT)
)
VARIANTS = {
    'plain': {},
    'no-aux': dict(num_aux_tokens=0, out_type='avg_featmap'),
    'distilled': dict(num_aux_tokens=2),
    'registers': dict(num_aux_tokens=5),
    'class and registers': dict(num_aux_tokens=5, num_registers=4),
    'registers alone': dict(num_aux_tokens=4, num_registers=4, out_type='avg_featmap'),
    'windowed': dict(window_size=3, global_attn_indexes=(-1,)),
    'pooled': dict(pool_before=(1, -1)),
    'pooled, no aux': dict(pool_before=(1,), num_aux_tokens=0, out_type='avg_featmap'),
}


def build(name: str, **options) -> TokenViT:
    """A backbone with random weights, in evaluation mode."""
    torch.manual_seed(0)
    options = {'arch': ARCH, 'img_size': 32, 'patch_size': 4, **options}
    return MODELS.build(dict(type=name, **options)).eval()


def images(height: int = 32, width: int = 32, batch: int = 2) -> Tensor:
    """Random images, the same for the same shape."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
