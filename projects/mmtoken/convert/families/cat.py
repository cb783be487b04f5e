"""linhezheng19/CAT, of classification, detection and segmentation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from mmtoken.cat.cat import ARCHS

from ..cat import cat_rules
from ..conversion import Family, Hints
from ..describe_pyramid import blocks_of, describe_pyramid, with_map_size
from ..rules import Renamed, of_backbone

_UNIT = 'stages.{}.blocks.{}.attn.'
_DENSE_NORM = re.compile(r'norm\d+\.weight')


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    own = of_backbone(renamed.state)
    blocks = blocks_of(own)
    tables = [own[_inside(stage) + 'relative_position_bias_table'] for stage in range(len(blocks))]
    arch = dict(
        depths=tuple(count // 3 for count in blocks),
        num_heads=tuple(table.shape[1] for table in tables),
    )
    hints = with_map_size(hints, state.get('ape'), own)
    config = describe_pyramid(own, hints, ARCHS, arch, has_positions=True)
    # CPSA's features are the places of a window.
    between = [own[_UNIT.format(stage, 1) + 'qkv.weight'] for stage in range(len(blocks))]
    windows = [isqrt(weight.shape[1]) for weight in between]
    if windows[0] != 7:
        config['window_size'] = windows[0]
    if any(_DENSE_NORM.fullmatch(name) for name in state):
        config['pad_small_map'] = True
    elif windows[-1] < windows[0]:
        # The first grid that is smaller than a window.
        stage = next(stage for stage, window in enumerate(windows) if window < windows[0])
        config.setdefault('img_size', (windows[stage] << stage) * config.get('patch_size', 4))
    if _inside(0) + 'qkv.bias' not in own:
        config['qkv_bias'] = False
    return dict(type='CAT', **config)


def _inside(stage: int) -> str:
    return _UNIT.format(stage, 0) + 'w_msa.'


FAMILY = Family(
    name='cat',
    what="linhezheng19's CAT",
    marks=(
        r'layers\.0\.pre_ipsa_blocks\.0\.attn\.qkv\.weight',
        r'layers\.0\.cpsa_blocks\.0\.attn\.qkv\.weight',
        r'patch_embed\.proj\.weight',
    ),
    rules=cat_rules,
    finish=_finish,
    takes=('img_size', 'eps'),
)
