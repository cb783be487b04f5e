"""facebookresearch/dinov3."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmtoken.errors import UserError

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .dinov2 import MASK_TOKEN
from .timm_eva import DINOV3_HEADS, DINOV3_POSITION, FIXED
from .timm_vit import BLOCK, BLOCKS, EMBEDDING, ENDS, LAYER, PARAMETER, PLAIN_MLP

_PERIODS = 'rope_embed.periods'
_MASK = 'bias_mask'


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    for name, mask in state.items():
        if name.endswith(_MASK):
            _mask_bias(name, mask, renamed)
    position, heads = dict(DINOV3_POSITION), DINOV3_HEADS
    if _PERIODS in state:
        periods = state[_PERIODS].float()
        base = _base(periods)
        if base != 100:
            position['base'] = base
        channels = state['cls_token'].shape[-1]
        # A head has four channels for each period: by rows and columns, in pairs.
        heads = {channels: channels // (4 * periods.numel())}
    return describe_vit(renamed, hints, heads=heads, eps=1e-5, position=position)


def _mask_bias(name: str, mask: Tensor, renamed: Renamed) -> None:
    """Leave of the bias of a projection what the mask leaves, that of queries and values."""
    new = renamed.report[name.removesuffix('_mask')].into
    value = torch.where(mask == 0, 0, renamed.state[new])
    renamed.change(new, value, 'zero for keys, where bias_mask is')


def _base(periods: Tensor) -> float:
    """The base whose powers i / n, for i of n, the periods are."""
    count = periods.numel()
    if count == 1:
        return 100.0
    base = float(periods[-1]) ** (count / (count - 1))
    # What a file in bfloat16 says to three digits.
    rounded = float(f'{base:.2g}')
    exponents = torch.arange(count, device=periods.device) / count
    if not torch.allclose(rounded**exponents, periods, rtol=1e-2):
        raise UserError(
            f'{_PERIODS!r} is {periods.tolist()}, and not the powers of a base; no '
            "position=dict(type='RotaryPosition') turns queries and keys by them"
        )
    return rounded


FAMILY = Family(
    name='dinov3',
    what='facebookresearch/dinov3',
    marks=(r'storage_tokens|rope_embed\.periods', r'patch_embed\.proj\.weight'),
    rules=(
        Rule(r'storage_tokens', r'backbone.reg_tokens'),
        Rule(r'mask_token', None, why=MASK_TOKEN),
        Rule(r'rope_embed\.periods', None, why=FIXED),
        Rule(r'local_cls_norm\..+', None, why='norms small crops, in training alone'),
        Rule(rf'{BLOCK}attn\.qkv\.{_MASK}', None, why='applied to the bias'),
        Rule(rf'{BLOCK}mlp\.w1\.{PARAMETER}', rf'{LAYER}ffn.w12.\2', part=0, parts=2),
        Rule(rf'{BLOCK}mlp\.w2\.{PARAMETER}', rf'{LAYER}ffn.w12.\2', part=1, parts=2),
        Rule(rf'{BLOCK}mlp\.w3\.{PARAMETER}', rf'{LAYER}ffn.w3.\2'),
        *EMBEDDING,
        *BLOCKS,
        *PLAIN_MLP,
        *ENDS,
    ),
    finish=_finish,
)
