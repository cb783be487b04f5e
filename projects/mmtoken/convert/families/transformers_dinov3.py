"""transformers' `DINOv3ViTModel`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .dinov2 import MASK_TOKEN
from .timm_eva import DINOV3_HEADS, DINOV3_POSITION
from .timm_vit import LAYER, PARAMETER
from .transformers_parts import REGISTERS, drop_no_registers, joined, query_key_value

_BLOCK = r'(?:model\.)?layer\.(\d+)\.'
_ANGLES = 'made anew from the config of the rotary position'

_BESIDE_MLP = (
    Rule(r'embeddings\.cls_token', r'backbone.cls_token'),
    Rule(r'embeddings\.register_tokens', REGISTERS),
    Rule(r'embeddings\.mask_token', None, why=MASK_TOKEN),
    Rule(rf'embeddings\.patch_embeddings\.{PARAMETER}', r'backbone.patch_embed.projection.\1'),
    Rule(r'rope_embeddings\.inv_freq', None, why=_ANGLES),
    Rule(rf'{_BLOCK}norm([12])\.{PARAMETER}', rf'{LAYER}ln\2.\3'),
    *query_key_value(rf'{_BLOCK}attention\.', 'q_proj', 'k_proj', 'v_proj'),
    Rule(rf'{_BLOCK}attention\.o_proj\.{PARAMETER}', rf'{LAYER}attn.proj.\2'),
    Rule(rf'{_BLOCK}layer_scale1\.lambda1', rf'{LAYER}attn.gamma1.weight'),
    Rule(rf'{_BLOCK}layer_scale2\.lambda1', rf'{LAYER}ffn.gamma2.weight'),
    Rule(rf'norm\.{PARAMETER}', r'backbone.ln1.\1'),
)
_PLAIN_MLP = (
    Rule(rf'{_BLOCK}mlp\.up_proj\.{PARAMETER}', rf'{LAYER}ffn.layers.0.0.\2'),
    Rule(rf'{_BLOCK}mlp\.down_proj\.{PARAMETER}', rf'{LAYER}ffn.layers.1.\2'),
)
_GATED_MLP = (
    *joined(
        [rf'{_BLOCK}mlp\.{name}_proj\.{PARAMETER}' for name in ('gate', 'up')],
        rf'{LAYER}ffn.w12.\2',
    ),
    Rule(rf'{_BLOCK}mlp\.down_proj\.{PARAMETER}', rf'{LAYER}ffn.w3.\2'),
)


def _rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    gate = re.compile(rf'{_BLOCK}mlp\.gate_proj\.weight')
    return _BESIDE_MLP + (_GATED_MLP if any(map(gate.fullmatch, state)) else _PLAIN_MLP)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    drop_no_registers(renamed)
    return describe_vit(
        renamed, hints, heads=DINOV3_HEADS, eps=1e-5, position=dict(DINOV3_POSITION)
    )


FAMILY = Family(
    name='transformers',
    what="transformers' DINOv3ViTModel",
    marks=(r'embeddings\.patch_embeddings\.weight', rf'{_BLOCK}layer_scale1\.lambda1'),
    rules=_rules,
    finish=_finish,
)
