"""Small backbones of T2T-ViT, and images for them."""

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.t2t import T2TViT

SMALL = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
KINDS = ('performer', 'transformer')
LIFE = dict(projection=dict(type='LIFEProjection'), qkv_bias=True)


def build(kind: str = 'performer', **options) -> T2TViT:
    torch.manual_seed(0)
    stem = dict(token_layer=kind, token_dims=8)
    options = {'arch': SMALL, 'img_size': 64, 'stem': stem, **options}
    return MODELS.build(dict(type='T2TViT', **options)).eval()


def images(height: int = 64, width: int = 64, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def disturb(backbone: nn.Module) -> nn.Module:
    """Move all that is trained away from its start."""
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return backbone
