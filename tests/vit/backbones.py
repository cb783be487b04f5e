"""Every registered backbone, small, in every variant that the contract holds for."""

from collections.abc import Iterable

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
BACKBONES = sorted(
    name
    for name, cls in MODELS.module_dict.items()
    # A supernet is trained to be searched, and has tests of its own.
    if isinstance(cls, type) and issubclass(cls, TokenViT) and name != 'PSViTSupernet'
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
    'pooled along lines': dict(
        pool_before=(1, -1),
        pool=[dict(type='SequencePool'), dict(type='SequencePool', along='columns')],
    ),
    'shared': dict(pattern='FSS'),
    'shared in windows': dict(pattern='FSF', window_size=3, global_attn_indexes=(-1,)),
    'stages': dict(
        arch=dict(
            stages=[
                dict(depth=1, embed_dims=12, num_heads=2),
                dict(depth=2, embed_dims=24, num_heads=3, pattern='FS', feedforward_channels=48),
            ]
        ),
        num_aux_tokens=2,
    ),
    # As DINOv3 and, below, EVA-02 and CLIP have it.
    'scaled, gated, turned': dict(
        layer_scale_init_value=0.1,
        mlp=dict(type='SwiGLU'),
        position=dict(type='RotaryPosition'),
        num_aux_tokens=5,
        num_registers=4,
    ),
    'normed, turned in windows': dict(
        qk_norm=True,
        pre_norm=True,
        mlp=dict(type='SwiGLU', norm_cfg=dict(type='LN')),
        position=dict(
            type='RotaryPosition', base=1e4, reference=8, pairs='interleaved', learned=True
        ),
        window_size=3,
        pool_before=(-1,),
    ),
}

# Of backbones that are a `TokenViT` with other defaults, those that the defaults may touch.
OF_PRESETS = ('plain', 'distilled', 'windowed', 'stages')
# Its own stem has one patch size alone, and tests in tests/t2t.
STEMS = {'T2TViT': dict(type='PatchStem')}
# Parameters that do not learn.
FIXED = {'T2TViT': {'pos_embed'}}
# LIFE's projection sees auxiliary tokens, grids, and that it makes values alone.
OF_LIFE = (
    *OF_PRESETS,
    'no-aux',
    'registers',
    'pooled',
    'shared',
    'raw',
    'maps of two layers',
    'scaled, gated, turned',
)


def variants_of(name: str, variants: Iterable[str]) -> list[str]:
    """Those of some variants that a backbone is tested in."""
    own = {'TokenViT': tuple(variants), 'LIFEViT': OF_LIFE}.get(name, OF_PRESETS)
    return [variant for variant in variants if variant in own]


def build(name: str, **options) -> TokenViT:
    """A backbone with random weights, in evaluation mode."""
    torch.manual_seed(0)
    options = {'arch': ARCH, 'img_size': 32, 'patch_size': 4, **options}
    options.setdefault('stem', STEMS.get(name))
    # Without a class token, PSViT's default.
    options = {'num_aux_tokens': 1, 'out_type': 'cls_token', **options}
    return MODELS.build(dict(type=name, **options)).eval()


def images(height: int = 32, width: int = 32, batch: int = 2) -> Tensor:
    """Random images, the same for the same shape."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
