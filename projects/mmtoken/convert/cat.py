"""Weights of linhezheng19's CAT for ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .renaming import rename
from .swin import last_stage, reorder_merged

# The blocks of a unit, in their order.
_KINDS = ('pre_ipsa', 'cpsa', 'post_ipsa')
_BLOCK = re.compile(r'layers\.(\d+)\.(pre_ipsa|cpsa|post_ipsa)_blocks\.(\d+)\.(.+)')
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
_NAMES = [
    (r'ape', r'backbone.absolute_pos_embed'),
    (r'patch_embed\.proj\.(weight|bias)', r'backbone.patch_embed.projection.\1'),
    (r'patch_embed\.norm\.(weight|bias)', r'backbone.patch_embed.norm.\1'),
    (r'layers\.(\d+)\.downsample\.(norm\.weight|norm\.bias|reduction\.weight)',
     r'backbone.stages.\1.downsample.\2'),
    # Those of the dense files, one of every output.
    (r'norm(\d+)\.(weight|bias)', r'backbone.norm\1.\2'),
    (r'head\.(weight|bias)', r'head.fc.\1'),
]  # fmt: skip


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
    names = [*_NAMES, (r'norm\.(weight|bias)', rf'backbone.norm{last_stage(state)}.\1')]
    found = {}
    for name, value in state.items():
        renamed = rename(name, _names_of_block(name) or names, source)
        found[renamed] = _reshape(name, value)
    return found


def _reshape(name: str, value: Tensor) -> Tensor:
    if '.downsample.' in name:
        return reorder_merged(value)
    if name == 'ape' and value.ndim == 4:
        # (1, C, H, W) → (1, H·W, C)
        return value.flatten(2).transpose(1, 2).contiguous()
    return value


def _names_of_block(name: str) -> list[tuple[str, str]]:
    """What the weights of a block are called, by that of one; nothing where it is of none."""
    block = _BLOCK.fullmatch(name)
    if not block:
        return []
    stage, kind, unit, rest = block.groups()
    index = len(_KINDS) * int(unit) + _KINDS.index(kind)
    theirs, ours = re.escape(name.removesuffix(rest)), f'backbone.stages.{stage}.blocks.{index}.'
    inner = _BETWEEN if kind == 'cpsa' else _INSIDE
    return [(theirs + old, ours + new) for old, new in inner]
