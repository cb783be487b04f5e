"""Weights of microsoft's Swin and Swin V2, and of LIFE's, for ours and mmpretrain's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .renaming import rename

_OLD, _NEW = r'layers\.(\d+)\.blocks\.(\d+)\.', r'backbone.stages.\1.blocks.\2.'
_LIFE = _OLD + r'attn\.qkv\.scale'
_NAMES = [
    (r'absolute_pos_embed', r'backbone.absolute_pos_embed'),
    (r'patch_embed\.proj\.(.+)', r'backbone.patch_embed.projection.\1'),
    (r'patch_embed\.norm\.(.+)', r'backbone.patch_embed.norm.\1'),
    (_OLD + r'norm([12])\.(.+)', _NEW + r'norm\3.\4'),
    (_LIFE + r'1\.(.+)', _NEW + r'attn.w_msa.qkv.linear.\3'),
    *(
        (
            rf'{_LIFE}{scale}\.(depthwise|pointwise)\.weight',
            rf'{_NEW}attn.w_msa.qkv.\3.{scale - 2}.weight',
        )
        for scale in range(2, 10)
    ),
    (_OLD + r'attn\.(.+)', _NEW + r'attn.w_msa.\3'),
    (_OLD + r'mlp\.fc1\.(.+)', _NEW + r'ffn.layers.0.0.\3'),
    (_OLD + r'mlp\.fc2\.(.+)', _NEW + r'ffn.layers.1.\3'),
    (r'head\.(weight|bias)', r'head.fc.\1'),
]
# Made anew for every size of image.
_MASK = re.compile(_OLD + 'attn_mask')
# Beside LIFE's projection, which has a bias of its own, nothing reads these.
_DEAD = re.compile(_OLD + r'attn\.[qv]_bias')
_MERGING = re.compile(r'layers\.(\d+)\.downsample\.(reduction|norm)\.(.+)')
_STAGE = re.compile(r'layers\.(\d+)\.')
# Where the released code has the tokens of (row, column) 00, 01, 10, 11 among the four it merges.
_PLACES = [0, 2, 1, 3]


def convert_swin(state: Mapping[str, Tensor], source: str = 'swin') -> dict[str, Tensor]:
    """Rename the weights of microsoft/Swin-Transformer or NeurAI-Lab/LIFE, and put the channels of
    their mergings in mmcv's order.

    Args:
        state: Of a `SwinTransformer` or `SwinTransformerV2`, with or without a head.
        source: What it is called, for the error.

    Returns:
        `backbone.*` and `head.fc.*`, of a `Swin` or `SwinV2`.

    Raises:
        UserError: If a name is unknown.
    """
    is_v2 = any(name.endswith('.logit_scale') for name in state)
    has_life = any(re.match(_LIFE, name) for name in state)
    names = [*_NAMES, (r'norm\.(weight|bias)', rf'backbone.norm{last_stage(state)}.\1')]
    found = {}
    for name, value in state.items():
        if _MASK.fullmatch(name) or (has_life and _DEAD.fullmatch(name)):
            continue
        if merging := _MERGING.fullmatch(name):
            # In Swin V2 the stage after it owns it, and its norm comes after its map.
            stage, (part, rest) = int(merging[1]) + is_v2, merging.groups()[1:]
            reordered = value if is_v2 and part == 'norm' else reorder_merged(value)
            found[f'backbone.stages.{stage}.downsample.{part}.{rest}'] = reordered
            continue
        found[rename(name, names, source)] = value
    return found


def last_stage(state: Mapping[str, Tensor]) -> int:
    """The highest index of a stage in the names of a pyramid of microsoft's kind."""
    return max((int(match[1]) for match in map(_STAGE.match, state) if match), default=0)


def reorder_merged(value: Tensor) -> Tensor:
    """4C channels, token after token, as 4C channels, each of four tokens: (…, 4·C) → (…, C·4)."""
    return value.unflatten(-1, (4, -1))[..., _PLACES, :].transpose(-2, -1).flatten(-2)
