"""What the layouts of Hugging Face's transformers share.

Its files keep the names of version 4 (`attention.attention.query`), which version 5 writes as well;
what a model of version 5 calls its weights in memory (`attention.q_proj`) is taken too.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rules import Renamed, Rule
from .dinov2 import MASK_TOKEN
from .timm_vit import LAYER, PARAMETER

REGISTERS = 'backbone.reg_tokens'
POOLER = 'a map of the class token behind the final norm, which is no part of the backbone'
DECODER = 'of the decoder, which pre-training alone needs'
TEXT = 'of the text model'
PROJECTION = 'of the space that images and texts share, which is no part of the backbone'


def joined(old: Sequence[str], new: str) -> tuple[Rule, ...]:
    """The rules for weights that become one, one below the other.

    Args:
        old: Their patterns, in the order that they get.
        new: What they become.
    """
    return tuple(Rule(name, new, part=i, parts=len(old)) for i, name in enumerate(old))


def query_key_value(attention: str, query: str, key: str, value: str) -> tuple[Rule, ...]:
    """The rules for the q, k, v projection of a layer in three maps; a bias that some of them lack
    is zero there.

    Args:
        attention: The pattern of what comes before their names, with the layer's index in it.
        query: That of the first.
        key: That of the second.
        value: That of the third.
    """
    return joined(
        [rf'{attention}{name}\.{PARAMETER}' for name in (query, key, value)], rf'{LAYER}attn.qkv.\2'
    )


def embedding(root: str) -> tuple[Rule, ...]:
    """The rules for class token, position embedding and patches, given what comes before them."""
    return (
        Rule(rf'{root}cls_token', r'backbone.cls_token'),
        Rule(rf'{root}mask_token', None, why=MASK_TOKEN),
        Rule(rf'{root}position_embeddings', r'backbone.pos_embed'),
        Rule(
            rf'{root}patch_embeddings\.projection\.{PARAMETER}',
            r'backbone.patch_embed.projection.\1',
        ),
    )


def attention(layer: str) -> tuple[Rule, ...]:
    """The rules for the maps of attention by the names of files and of memory, given a layer's."""
    return (
        *query_key_value(
            rf'{layer}attention\.',
            r'(?:attention\.query|q_proj)',
            r'(?:attention\.key|k_proj)',
            r'(?:attention\.value|v_proj)',
        ),
        Rule(rf'{layer}attention\.(?:output\.dense|o_proj)\.{PARAMETER}', rf'{LAYER}attn.proj.\2'),
    )


def drop_no_registers(renamed: Renamed) -> None:
    """Leave out the registers of a model that has none of them, in place."""
    registers = renamed.state.get(REGISTERS)
    if registers is not None and not registers.numel():
        renamed.drop(REGISTERS, 'is empty: the model has no registers')
