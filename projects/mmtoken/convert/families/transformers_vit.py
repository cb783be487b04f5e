"""transformers' `ViTModel`, `DeiTModel`, `ViTMAEModel`, `ViTMSNModel` and `IJepaModel`, with their
heads.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .timm_vit import LAYER, PARAMETER
from .transformers_parts import DECODER, POOLER, attention, embedding

_ROOT = r'(?:(?:vit|deit|ijepa)\.)?'
_EMBEDDING = rf'{_ROOT}embeddings\.'
_BLOCK = rf'{_ROOT}(?:encoder\.layer|layers)\.(\d+)\.'

RULES = (
    *embedding(_EMBEDDING),
    Rule(rf'{_EMBEDDING}distillation_token', r'backbone.dist_token'),
    Rule(rf'{_BLOCK}layernorm_before\.{PARAMETER}', rf'{LAYER}ln1.\2'),
    *attention(_BLOCK),
    Rule(rf'{_BLOCK}layernorm_after\.{PARAMETER}', rf'{LAYER}ln2.\2'),
    Rule(rf'{_BLOCK}(?:intermediate\.dense|mlp\.fc1)\.{PARAMETER}', rf'{LAYER}ffn.layers.0.0.\2'),
    Rule(rf'{_BLOCK}(?:output\.dense|mlp\.fc2)\.{PARAMETER}', rf'{LAYER}ffn.layers.1.\2'),
    Rule(rf'{_ROOT}layernorm\.{PARAMETER}', r'backbone.ln1.\1'),
    Rule(rf'{_ROOT}pooler\.dense\.{PARAMETER}', None, why=POOLER),
    Rule(rf'(?:cls_)?classifier\.{PARAMETER}', r'head.layers.head.\1'),
    Rule(rf'distillation_classifier\.{PARAMETER}', r'head.layers.head_dist.\1'),
    Rule(r'decoder\..+', None, why=DECODER),
)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    # Those of transformers' configs, but for ViTMSN's 1e-6: what neither names nor shapes say.
    return describe_vit(renamed, hints, eps=1e-12)


FAMILY = Family(
    name='transformers',
    what="transformers' ViTModel, DeiTModel, ViTMAEModel or IJepaModel",
    marks=(
        rf'{_EMBEDDING}patch_embeddings\.projection\.weight',
        rf'{_BLOCK}layernorm_before\.weight',
    ),
    rules=RULES,
    finish=_finish,
)
