"""transformers' `CLIPVisionModel`, alone or in a `CLIPModel`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..rules import Renamed, Rule
from .clip import as_position, as_token, describe_clip
from .timm_vit import LAYER, PARAMETER
from .transformers_parts import PROJECTION, TEXT, query_key_value

_ROOT = r'(?:vision_model\.)?'
_EMBEDDING = rf'{_ROOT}embeddings\.'
_BLOCK = rf'{_ROOT}encoder\.layers\.(\d+)\.'
_IDS = 'counts the positions, which needs no weights'

RULES = (
    Rule(rf'{_EMBEDDING}class_embedding', r'backbone.cls_token', change=as_token),
    Rule(rf'{_EMBEDDING}position_embedding\.weight', r'backbone.pos_embed', change=as_position),
    Rule(rf'{_EMBEDDING}position_ids', None, why=_IDS),
    Rule(rf'{_EMBEDDING}patch_embedding\.weight', r'backbone.patch_embed.projection.weight'),
    # So in transformers.
    Rule(rf'{_ROOT}pre_layrnorm\.{PARAMETER}', r'backbone.pre_norm.\1'),
    Rule(rf'{_BLOCK}layer_norm([12])\.{PARAMETER}', rf'{LAYER}ln\2.\3'),
    *query_key_value(rf'{_BLOCK}self_attn\.', 'q_proj', 'k_proj', 'v_proj'),
    Rule(rf'{_BLOCK}self_attn\.out_proj\.{PARAMETER}', rf'{LAYER}attn.proj.\2'),
    Rule(rf'{_BLOCK}mlp\.fc1\.{PARAMETER}', rf'{LAYER}ffn.layers.0.0.\2'),
    Rule(rf'{_BLOCK}mlp\.fc2\.{PARAMETER}', rf'{LAYER}ffn.layers.1.\2'),
    Rule(
        rf'{_ROOT}post_layernorm\.{PARAMETER}',
        r'backbone.ln1.\1',
        why='norms the class token there, and every token here',
    ),
    Rule(r'(?:visual_projection\.weight|logit_scale)', None, why=PROJECTION),
    Rule(r'text_(?:model|projection)\..+', None, why=TEXT),
)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    return describe_clip(renamed, hints)


FAMILY = Family(
    name='transformers',
    what="transformers' CLIPVisionModel",
    marks=(
        rf'{_EMBEDDING}patch_embedding\.weight',
        rf'{_ROOT}pre_layrnorm\.weight',
        rf'{_BLOCK}self_attn\.q_proj\.weight',
    ),
    rules=RULES,
    finish=_finish,
    aliases=('clip',),
)
