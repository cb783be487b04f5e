"""Weights of microsoft's Swin and Swin V2, and of LIFE's, for ours and mmpretrain's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from .life_projection import scale_rules
from .positions import IN_ONE_ROW, flatten_map
from .rules import Rule, apply_rules

_OLD, _NEW = r'layers\.(\d+)\.blocks\.(\d+)\.', r'backbone.stages.\1.blocks.\2.'
_LIFE = _OLD + r'attn\.qkv'
_BOTH = r'(weight|bias)'
# What an attention has besides LIFE's scales; that of V2 from its second line on.
_ATTENTION = (
    r'((?:qkv|proj)\.(?:weight|bias)|relative_position_(?:bias_table|index)'
    r'|[qv]_bias|logit_scale|relative_coords_table|cpb_mlp\.[02]\.(?:weight|bias))'
)
_RULES = (
    Rule(r'absolute_pos_embed', r'backbone.absolute_pos_embed', why=IN_ONE_ROW, change=flatten_map),
    Rule(r'patch_embed\.proj\.' + _BOTH, r'backbone.patch_embed.projection.\1'),
    Rule(r'patch_embed\.norm\.' + _BOTH, r'backbone.patch_embed.norm.\1'),
    Rule(_OLD + r'norm([12])\.' + _BOTH, _NEW + r'norm\3.\4'),
    Rule(_LIFE + r'\.scale1\.' + _BOTH, _NEW + r'attn.w_msa.qkv.linear.\3'),
    *scale_rules(_LIFE, f'{_NEW}attn.w_msa.qkv'),
    Rule(_OLD + r'attn\.' + _ATTENTION, _NEW + r'attn.w_msa.\3'),
    Rule(_OLD + r'mlp\.fc1\.' + _BOTH, _NEW + r'ffn.layers.0.0.\3'),
    Rule(_OLD + r'mlp\.fc2\.' + _BOTH, _NEW + r'ffn.layers.1.\3'),
    Rule(r'head\.(weight|bias)', r'head.fc.\1'),
    # Those of detectors and segmentors, one of every output.
    Rule(r'norm(\d+)\.(weight|bias)', r'backbone.norm\1.\2'),
)
_MASK = Rule(_OLD + 'attn_mask', None, why='made anew for every size of image')
_DEAD = Rule(
    _OLD + r'attn\.[qv]_bias',
    None,
    why="read by nothing beside LIFE's projection, which has its own",
)
_STAGE = re.compile(r'layers\.(\d+)\.')
# Where the released code has the tokens of (row, column) 00, 01, 10, 11 among the four it merges.
_PLACES = [0, 2, 1, 3]
REORDERED = "in mmcv's order of the four tokens that are merged"


def convert_swin(state: Mapping[str, Tensor], source: str = 'swin') -> dict[str, Tensor]:
    """Rename the weights of microsoft/Swin-Transformer or NeurAI-Lab/LIFE, and put the channels of
    their mergings in mmcv's order and absolute positions, where they are a map, in that of tokens.

    Args:
        state: Of a `SwinTransformer` or `SwinTransformerV2`, with or without a head.
        source: What it is called, for the error.

    Returns:
        `backbone.*` and `head.fc.*`, of a `Swin` or `SwinV2`.

    Raises:
        UserError: If a name is unknown.
    """
    return apply_rules(state, swin_rules(state), source).state


def swin_rules(state: Mapping[str, Tensor]) -> list[Rule]:
    """The rules of the names of Swin or Swin V2, as `convert_swin` applies them."""
    last = last_stage(state)
    has_life = any(re.match(_LIFE + r'\.scale', name) for name in state)
    mergings = merging_rules('layers', last + 1, is_swin_v2(state))
    final = Rule(r'norm\.(weight|bias)', rf'backbone.norm{last}.\1')
    return [_MASK, *([_DEAD] if has_life else []), *mergings, *_RULES, final]


def merging_rules(stages: str, count: int, is_v2: bool) -> list[Rule]:
    """The rules of what merges tokens between stages.

    Args:
        stages: The pattern of what comes before the number of a stage.
        count: How many stages there are.
        is_v2: Whether of Swin V2, where the stage after it owns it, and its norm follows its map.
    """
    return [
        Rule(
            rf'{stages}\.{stage}\.downsample\.{part}\.({names})',
            rf'backbone.stages.{stage + is_v2}.downsample.{part}.\1',
            **({} if is_v2 and part == 'norm' else dict(change=reorder_merged, why=REORDERED)),
        )
        for stage in range(count)
        for part, names in (('reduction', 'weight'), ('norm', 'weight|bias'))
    ]


def is_swin_v2(names: Iterable[str]) -> bool:
    """Whether names are of Swin V2, which has a scale of the scores."""
    return any(name.endswith('.logit_scale') for name in names)


def last_stage(names: Iterable[str]) -> int:
    """The highest index of a stage in the names of a pyramid of microsoft's kind."""
    return max((int(match[1]) for match in map(_STAGE.match, names) if match), default=0)


def reorder_merged(value: Tensor) -> Tensor:
    """4C channels, token after token, as 4C channels, each of four tokens: (…, 4·C) → (…, C·4)."""
    return value.unflatten(-1, (4, -1))[..., _PLACES, :].transpose(-2, -1).flatten(-2)
