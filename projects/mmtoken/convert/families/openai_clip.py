"""CLIP as openai/CLIP and open_clip lay it out: `visual.*` of the whole model, or the image model
alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..rules import Renamed, Rule
from .clip import as_position, as_token, describe_clip
from .timm_vit import LAYER, PARAMETER
from .transformers_parts import PROJECTION, TEXT

_ROOT = r'(?:visual\.)?'
_BLOCK = r'transformer\.resblocks\.(\d+)\.'
# OpenAI's own files say what they are of, in words of which others have none.
_OPENAI = 'input_resolution'
_SIZE = 'is a size, and no weight'
_POOL = 'pools the tokens for the space that images and texts share'
_POST = 'norms the class token there, and every token here'

_OF_TEXT = (
    Rule(r'(?:transformer|token_embedding|ln_final|text|text_decoder)\..+', None, why=TEXT),
    Rule(r'(?:positional_embedding|text_projection)', None, why=TEXT),
    Rule(r'(?:logit_scale|logit_bias)', None, why=PROJECTION),
    Rule(r'(?:input_resolution|context_length|vocab_size)', None, why=_SIZE),
)


def _of_images(root: str) -> tuple[Rule, ...]:
    block = root + _BLOCK
    return (
        Rule(rf'{root}class_embedding', r'backbone.cls_token', change=as_token),
        Rule(rf'{root}positional_embedding', r'backbone.pos_embed', change=as_position),
        Rule(rf'{root}conv1\.weight', r'backbone.patch_embed.projection.weight'),
        Rule(rf'{root}ln_pre\.{PARAMETER}', r'backbone.pre_norm.\1'),
        Rule(rf'{block}ln_([12])\.{PARAMETER}', rf'{LAYER}ln\2.\3'),
        Rule(rf'{block}attn\.in_proj_{PARAMETER}', rf'{LAYER}attn.qkv.\2'),
        Rule(rf'{block}attn\.out_proj\.{PARAMETER}', rf'{LAYER}attn.proj.\2'),
        Rule(rf'{block}mlp\.c_fc\.{PARAMETER}', rf'{LAYER}ffn.layers.0.0.\2'),
        Rule(rf'{block}mlp\.c_proj\.{PARAMETER}', rf'{LAYER}ffn.layers.1.\2'),
        Rule(rf'{block}ls_1\.gamma', rf'{LAYER}attn.gamma1.weight'),
        Rule(rf'{block}ls_2\.gamma', rf'{LAYER}ffn.gamma2.weight'),
        Rule(rf'{root}ln_post\.{PARAMETER}', r'backbone.ln1.\1', why=_POST),
        Rule(rf'{root}proj', None, why=PROJECTION),
        Rule(rf'{root}attn_pool\..+', None, why=_POOL),
    )


def _rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    # The text model's layers are called like those of an image model alone.
    if any(name.startswith('visual.') for name in state):
        return _of_images(r'visual\.') + _OF_TEXT
    return _of_images('')


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    return describe_clip(renamed, hints, 'QuickGELU' if _OPENAI in state else None)


FAMILY = Family(
    name='clip',
    what="CLIP of openai/CLIP's or open_clip's layout",
    marks=(
        rf'{_ROOT}conv1\.weight',
        rf'{_ROOT}class_embedding',
        rf'{_ROOT}{_BLOCK}attn\.in_proj_weight',
    ),
    rules=_rules,
    finish=_finish,
)
