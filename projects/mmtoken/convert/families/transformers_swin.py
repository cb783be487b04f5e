"""transformers' `SwinModel` and `Swinv2Model`, with their heads."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import depth_of
from ..describe_swin import NOTE, TAKEN, describe_swin
from ..rules import Renamed, Rule
from ..swin import is_swin_v2, merging_rules
from .dinov2 import MASK_TOKEN
from .timm_vit import PARAMETER
from .transformers_parts import DECODER, joined

_ROOT = r'(?:swin(?:v2)?\.)?'
_EMBEDDING = rf'{_ROOT}embeddings\.'
_STAGE = rf'{_ROOT}encoder\.layers\.(\d+)\.'
_BLOCK = rf'{_STAGE}blocks\.(\d+)\.'
_ATTENTION = rf'{_BLOCK}attention\.'
_OURS = r'backbone.stages.\1.blocks.\2.'
# The bias of the position is relative, of V1 by a table, of V2 by an MLP.
_RELATIVE = r'(?:self|relative_position_bias)\.'
# Version 5 has other names for V1 alone, in memory.
_QKV = (r'(?:self\.query|q_proj)', r'(?:self\.key|k_proj)', r'(?:self\.value|v_proj)')

_RULES = (
    Rule(
        rf'{_EMBEDDING}patch_embeddings\.projection\.{PARAMETER}',
        r'backbone.patch_embed.projection.\1',
    ),
    Rule(rf'{_EMBEDDING}norm\.{PARAMETER}', r'backbone.patch_embed.norm.\1'),
    Rule(rf'{_EMBEDDING}position_embeddings', r'backbone.absolute_pos_embed'),
    Rule(rf'{_EMBEDDING}mask_token', None, why=MASK_TOKEN),
    Rule(rf'{_BLOCK}layernorm_before\.{PARAMETER}', rf'{_OURS}norm1.\3'),
    Rule(rf'{_BLOCK}layernorm_after\.{PARAMETER}', rf'{_OURS}norm2.\3'),
    *joined([rf'{_ATTENTION}{name}\.weight' for name in _QKV], rf'{_OURS}attn.w_msa.qkv.weight'),
    Rule(
        rf'{_ATTENTION}{_RELATIVE}(relative_(?:position_bias_table|position_index|coords_table))',
        rf'{_OURS}attn.w_msa.\3',
    ),
    Rule(rf'{_ATTENTION}self\.logit_scale', rf'{_OURS}attn.w_msa.logit_scale'),
    Rule(
        rf'{_ATTENTION}self\.continuous_position_bias_mlp\.(.+)', rf'{_OURS}attn.w_msa.cpb_mlp.\3'
    ),
    Rule(rf'{_ATTENTION}(?:output\.dense|o_proj)\.{PARAMETER}', rf'{_OURS}attn.w_msa.proj.\3'),
    Rule(rf'{_BLOCK}(?:intermediate\.dense|mlp\.fc1)\.{PARAMETER}', rf'{_OURS}ffn.layers.0.0.\3'),
    Rule(rf'{_BLOCK}(?:output\.dense|mlp\.fc2)\.{PARAMETER}', rf'{_OURS}ffn.layers.1.\3'),
    Rule(rf'classifier\.{PARAMETER}', r'head.fc.\1'),
    Rule(r'decoder\..+', None, why=DECODER),
)
_BIASES = joined([rf'{_ATTENTION}{name}\.bias' for name in _QKV], rf'{_OURS}attn.w_msa.qkv.bias')
# Keys have none there, and the others stand by themselves here.
_BIASES_OF_V2 = (
    Rule(rf'{_ATTENTION}self\.query\.bias', rf'{_OURS}attn.w_msa.q_bias'),
    Rule(rf'{_ATTENTION}self\.value\.bias', rf'{_OURS}attn.w_msa.v_bias'),
)


def _rules(state: Mapping[str, Tensor]) -> list[Rule]:
    is_v2 = is_swin_v2(state)
    stages = depth_of(state, _STAGE)
    mergings = merging_rules(rf'{_ROOT}encoder\.layers', stages, is_v2)
    final = Rule(rf'{_ROOT}layernorm\.{PARAMETER}', rf'backbone.norm{stages - 1}.\1')
    return [*_RULES, *(_BIASES_OF_V2 if is_v2 else _BIASES), *mergings, final]


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    return describe_swin(renamed, hints)


FAMILY = Family(
    name='transformers',
    what="transformers' SwinModel or Swinv2Model",
    marks=(
        rf'{_EMBEDDING}patch_embeddings\.projection\.weight',
        rf'{_BLOCK}layernorm_before\.weight',
    ),
    rules=_rules,
    finish=_finish,
    takes=TAKEN,
    notes=(NOTE,),
)
