"""mmpretrain's `SwinTransformer` and `SwinTransformerV2`, and `Swin` and `SwinV2`, which have their
names.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe_swin import NOTE, TAKEN, describe_swin
from ..rules import Renamed, Rule

_ROOT = r'(?:backbone\.)?'
_BLOCK = r'stages\.\d+\.blocks\.\d+\.'
_OWN = (
    rf'(absolute_pos_embed|(?:patch_embed|norm\d+)\..+|{_BLOCK}(?:norm[12]|ffn|attn\.w_msa)\..+|'
    r'stages\.\d+\.downsample\..+)'
)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    return describe_swin(renamed, hints)


FAMILY = Family(
    name='mmpretrain',
    what="mmpretrain's SwinTransformer or SwinTransformerV2",
    marks=(
        rf'{_ROOT}stages\.0\.blocks\.0\.attn\.w_msa\.qkv\..+',
        rf'{_ROOT}patch_embed\.projection\.weight',
    ),
    rules=(
        Rule(rf'{_ROOT}{_BLOCK}attn\.attn_mask', None, why='made anew for every size of image'),
        Rule(rf'{_ROOT}{_OWN}', r'backbone.\1'),
        Rule(r'(head\..+)', r'\1'),
    ),
    finish=_finish,
    takes=TAKEN,
    notes=(NOTE,),
)
