"""Weights of linhezheng19's CAT for ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .positions import IN_ONE_ROW, flatten_map
from .rules import Rule, apply_rules
from .swin import REORDERED, last_stage, reorder_merged

# The blocks of a unit, in their order.
_KINDS = ('pre_ipsa', 'cpsa', 'post_ipsa')
_BLOCK = re.compile(r'(layers\.(\d+)\.(pre_ipsa|cpsa|post_ipsa)_blocks\.(\d+)\.).+')
_MLP = [
    (r'norm([12])\.(weight|bias)', r'norm\1.\2'),
    (r'mlp\.fc1\.(weight|bias)', r'ffn.layers.0.0.\1'),
    (r'mlp\.fc2\.(weight|bias)', r'ffn.layers.1.\1'),
]
_INSIDE = [
    (r'attn\.((?:qkv|proj)\.(?:weight|bias))', r'attn.w_msa.\1'),
    (r'attn\.(relative_position_(?:bias_table|index))', r'attn.w_msa.\1'),
    *_MLP,
]
_BETWEEN = [(r'(attn\.(?:qkv|proj)\.(?:weight|bias))', r'\1'), *_MLP]


def convert_cat(state: Mapping[str, Tensor], source: str = 'cat') -> dict[str, Tensor]:
    """Rename the weights of linhezheng19/CAT, put the channels of its mergings in mmcv's order, and
    the positions of its dense code in one row.

    The files that the authors offer are of older code with other names, by their own words; what
    is converted is what the released code writes.

    Args:
        state: Of its `CAT`, of classification, with or without a head, or of detection and
            segmentation.
        source: What it is called, for the error.

    Returns:
        `backbone.*` and `head.fc.*`, of a `CAT`.

    Raises:
        UserError: If a name is unknown.
    """
    return apply_rules(state, cat_rules(state), source).state


def cat_rules(state: Mapping[str, Tensor]) -> list[Rule]:
    """The rules of the names of CAT, as `convert_cat` applies them."""
    return [
        *_block_rules(state),
        Rule(r'ape', r'backbone.absolute_pos_embed', why=IN_ONE_ROW, change=flatten_map),
        Rule(r'patch_embed\.proj\.(weight|bias)', r'backbone.patch_embed.projection.\1'),
        Rule(r'patch_embed\.norm\.(weight|bias)', r'backbone.patch_embed.norm.\1'),
        Rule(
            r'layers\.(\d+)\.downsample\.(norm\.weight|norm\.bias|reduction\.weight)',
            r'backbone.stages.\1.downsample.\2',
            why=REORDERED,
            change=reorder_merged,
        ),
        # Those of the dense files, one of every output.
        Rule(r'norm(\d+)\.(weight|bias)', r'backbone.norm\1.\2'),
        Rule(r'norm\.(weight|bias)', rf'backbone.norm{last_stage(state)}.\1'),
        Rule(r'head\.(weight|bias)', r'head.fc.\1'),
    ]


def _block_rules(state: Mapping[str, Tensor]) -> list[Rule]:
    """What the weights of the blocks are called that are there."""
    rules = []
    for theirs, stage, kind, unit in dict.fromkeys(
        match.groups() for match in map(_BLOCK.fullmatch, state) if match
    ):
        index = len(_KINDS) * int(unit) + _KINDS.index(kind)
        ours = f'backbone.stages.{stage}.blocks.{index}.'
        inner = _BETWEEN if kind == 'cpsa' else _INSIDE
        rules += [Rule(re.escape(theirs) + old, ours + new) for old, new in inner]
    return rules
