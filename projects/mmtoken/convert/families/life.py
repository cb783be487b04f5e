"""NeurAI-Lab/LIFE's DeiT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..life_projection import describe_projection, scale_rules
from ..rules import Renamed, Rule
from .timm_vit import BLOCK, LAYER, prefix_tokens, vit_rules

_PROJECTION = (
    Rule(rf'{BLOCK}attn\.qkv\.scale1\.(.+)', rf'{LAYER}attn.qkv.linear.\2'),
    Rule(rf'{BLOCK}attn\.qkv\.norm\.(.+)', rf'{LAYER}attn.qkv.norm.\2'),
    *scale_rules(rf'{BLOCK}attn\.qkv', f'{LAYER}attn.qkv'),
)


def life_rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    """The rules of NeurAI-Lab/LIFE's DeiT."""
    return _PROJECTION + vit_rules(state)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    config = describe_vit(renamed, hints, leading=(prefix_tokens(state), 0))
    projection = describe_projection(renamed.state, 'backbone.layers.0.attn.')
    if 'cls_token' in state:
        projection['aux_key'] = 'first'
    if 'blocks.0.attn.qkv.norm.weight' in state:
        projection['qkv_norm'] = True
    if 'blocks.0.attn.qkv.scale1.bias' in state:
        config.pop('qkv_bias')
    return {**config, 'type': 'LIFEViT', 'projection': projection}


FAMILY = Family(
    name='life',
    what="NeurAI-Lab/LIFE's DeiT",
    marks=(r'blocks\.0\.attn\.qkv\.scale1\.weight', r'patch_embed\.proj\.weight'),
    rules=life_rules,
    finish=_finish,
)
