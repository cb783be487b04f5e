"""Weights of Atten4Vis/DemystifyLocalViT's DWNet for ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .positions import IN_ONE_ROW, flatten_map
from .rules import Rule, apply_rules
from .swin import REORDERED, last_stage, reorder_merged

_OLD, _NEW = r'layers\.(\d+)\.blocks\.(\d+)\.', r'backbone.stages.\1.blocks.\2.'
# Parts of what predicts the kernels of dynamic convolution.
_PREDICTING = r'(?:conv[12]|bn)\.(?:[01]\.)?'
_OF_NORMS = '(?:weight|bias|running_mean|running_var|num_batches_tracked)'
_RULES = [
    Rule(
        r'absolute_pos_embed',
        r'backbone.absolute_pos_embed',
        why=IN_ONE_ROW,
        change=flatten_map,
    ),
    Rule(r'patch_embed\.proj\.(weight|bias)', r'backbone.patch_embed.projection.\1'),
    Rule(r'patch_embed\.norm\.(weight|bias)', r'backbone.patch_embed.norm.\1'),
    Rule(
        _OLD + rf'attn2conv\.((?:conv|bn)[02]?\.(?:{_PREDICTING})?{_OF_NORMS})', _NEW + r'attn.\3'
    ),
    Rule(_OLD + rf'bn\.({_OF_NORMS})', _NEW + r'norm2.\3'),
    Rule(_OLD + r'mlp\.fc1\.(weight|bias)', _NEW + r'ffn.layers.0.0.\3'),
    Rule(_OLD + r'mlp\.fc2\.(weight|bias)', _NEW + r'ffn.layers.1.\3'),
    Rule(
        r'layers\.(\d+)\.downsample\.(norm\.weight|norm\.bias|reduction\.weight)',
        r'backbone.stages.\1.downsample.\2',
        why=REORDERED,
        change=reorder_merged,
    ),
    # Of detectors and segmentors, one for each output.
    Rule(rf'norm(\d+)\.({_OF_NORMS})', r'backbone.norm\1.\2'),
    Rule(r'head\.(weight|bias)', r'head.fc.\1'),
]


def convert_dwnet(state: Mapping[str, Tensor], source: str = 'dwnet') -> dict[str, Tensor]:
    """Rename the weights of Atten4Vis/DemystifyLocalViT, and put the channels of their mergings in
    mmcv's order and absolute positions, where they are a map, in that of tokens.

    Args:
        state: Of a `DWNet` classifier, or of the one that detectors and segmentors stand on; its
            kernels may be of any kind.
        source: What it is called, for the error.

    Returns:
        `backbone.*` and, of a classifier, `head.fc.*`. A backbone of the other kind computes the
        same with `pad_to_window=True` and `out_norm_cfg=dict(type='SyncBN')`, or 'BN'.

    Raises:
        UserError: If a name is unknown.
    """
    return apply_rules(state, dwnet_rules(state), source).state


def dwnet_rules(state: Mapping[str, Tensor]) -> list[Rule]:
    """The rules of the names of DWNet, as `convert_dwnet` applies them."""
    return [*_RULES, Rule(r'norm\.(weight|bias)', rf'backbone.norm{last_stage(state)}.\1')]
