"""transformers' `Dinov2Model` and `Dinov2WithRegistersModel`, with their heads."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .timm_vit import LAYER, PARAMETER
from .transformers_parts import REGISTERS, attention, drop_no_registers, embedding, joined

_ROOT = r'(?:dinov2(?:_with_registers)?\.)?'
_EMBEDDING = rf'{_ROOT}embeddings\.'
_BLOCK = rf'{_ROOT}encoder\.layer\.(\d+)\.'
_HEAD = 'takes the class token and the mean patch token together, as no head here does'

RULES = (
    *embedding(_EMBEDDING),
    Rule(rf'{_EMBEDDING}register_tokens', REGISTERS),
    Rule(rf'{_BLOCK}norm([12])\.{PARAMETER}', rf'{LAYER}ln\2.\3'),
    *attention(_BLOCK),
    Rule(rf'{_BLOCK}layer_scale1\.lambda1', rf'{LAYER}attn.gamma1.weight'),
    Rule(rf'{_BLOCK}mlp\.fc1\.{PARAMETER}', rf'{LAYER}ffn.layers.0.0.\2'),
    Rule(rf'{_BLOCK}mlp\.fc2\.{PARAMETER}', rf'{LAYER}ffn.layers.1.\2'),
    Rule(rf'{_BLOCK}mlp\.weights_in\.{PARAMETER}', rf'{LAYER}ffn.w12.\2'),
    *joined(
        [rf'{_BLOCK}mlp\.{name}_proj\.{PARAMETER}' for name in ('gate', 'up')],
        rf'{LAYER}ffn.w12.\2',
    ),
    Rule(rf'{_BLOCK}mlp\.(?:weights_out|down_proj)\.{PARAMETER}', rf'{LAYER}ffn.w3.\2'),
    Rule(rf'{_BLOCK}layer_scale2\.lambda1', rf'{LAYER}ffn.gamma2.weight'),
    Rule(rf'{_ROOT}layernorm\.{PARAMETER}', r'backbone.ln1.\1'),
    Rule(rf'classifier\.{PARAMETER}', None, why=_HEAD),
)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    # Of the model with registers alone, transformers widens the kernel where the grid shrinks.
    mode = 'antialias' if REGISTERS in renamed.state else 'bicubic'
    drop_no_registers(renamed)
    return describe_vit(renamed, hints, leading=(1,), interpolate_mode=mode)


FAMILY = Family(
    name='transformers',
    what="transformers' Dinov2Model or Dinov2WithRegistersModel",
    marks=(
        rf'{_EMBEDDING}patch_embeddings\.projection\.weight',
        rf'{_BLOCK}layer_scale1\.lambda1',
    ),
    rules=RULES,
    finish=_finish,
)
