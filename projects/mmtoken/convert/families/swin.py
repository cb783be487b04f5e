"""microsoft/Swin-Transformer, Swin and Swin V2, and NeurAI-Lab/LIFE's Swin V2."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.swin.swin import ARCHS

from ..conversion import Family, Hints
from ..describe import depth_of
from ..rules import Renamed
from ..swin import is_swin_v2, last_stage, swin_rules
from .life import kernel_sizes

_ATTENTION = 'layers.{}.blocks.0.attn.'


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    is_v2, stages = is_swin_v2(state), range(last_stage(state) + 1)
    kernel = state['patch_embed.proj.weight']
    sizes = dict(
        embed_dims=kernel.shape[0],
        depths=tuple(depth_of(state, rf'layers\.{stage}\.blocks\.(\d+)\.') for stage in stages),
        num_heads=tuple(_heads(state, _ATTENTION.format(stage), is_v2) for stage in stages),
    )
    windows = tuple(_window(state, _ATTENTION.format(stage)) for stage in stages)
    config = dict(
        type='SwinV2' if is_v2 else 'Swin',
        arch=next((name for name, arch in ARCHS.items() if arch == sizes), sizes),
        window_size=windows[0] if len(set(windows)) == 1 else windows,
    )
    if kernel.shape[-1] != 4:
        config['patch_size'] = kernel.shape[-1]
    if kernel.shape[1] != 3:
        config['in_channels'] = kernel.shape[1]
    if hints.img_size:
        config['img_size'] = tuple(hints.img_size)
    if 'absolute_pos_embed' in state:
        config['use_abs_pos_embed'] = True
        side = isqrt(state['absolute_pos_embed'].shape[1]) * kernel.shape[-1]
        config.setdefault('img_size', side)
    if 'patch_embed.norm.weight' not in state:
        config['patch_norm'] = False
    return {**config, **_projection(state, is_v2)}


def _projection(state: Mapping[str, Tensor], is_v2: bool) -> dict:
    """What the config says of the projection, where it is not the default."""
    attention = _ATTENTION.format(0)
    if attention + 'qkv.scale1.weight' in state:
        projection = dict(type='LIFEProjection')
        kernels = kernel_sizes(state, attention)
        if kernels != (3, 5):
            projection['kernel_sizes'] = kernels
        return dict(projection=projection)
    bias = attention + ('q_bias' if is_v2 else 'qkv.bias')
    return {} if bias in state else dict(qkv_bias=False)


def _heads(state: Mapping[str, Tensor], attention: str, is_v2: bool) -> int:
    if is_v2:
        return state[attention + 'logit_scale'].shape[0]
    return state[attention + 'relative_position_bias_table'].shape[1]


def _window(state: Mapping[str, Tensor], attention: str) -> int:
    """Tokens per side of the windows of a stage, by what depends on them."""
    for name, side in (
        ('relative_position_index', lambda value: isqrt(value.shape[0])),
        ('relative_position_bias_table', lambda value: (isqrt(value.shape[0]) + 1) // 2),
        ('relative_coords_table', lambda value: (value.shape[1] + 1) // 2),
    ):
        if attention + name in state:
            return side(state[attention + name])
    raise UserError(
        f'the weights have no {attention}relative_position_index, which says how large windows '
        'are; give the whole checkpoint'
    )


FAMILY = Family(
    name='swin',
    what="microsoft/Swin-Transformer's Swin, whose names LIFE's Swin V2 has too",
    marks=(
        r'layers\.0\.blocks\.0\.attn\.(?:logit_scale|relative_position_bias_table)',
        r'patch_embed\.proj\.weight',
    ),
    rules=swin_rules,
    finish=_finish,
    aliases=('life-swinv2',),
)
