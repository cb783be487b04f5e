"""timm's `Eva`: EVA, EVA-02, and DINOv3 as timm has it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmtoken.errors import UserError

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .timm_vit import (
    BLOCK,
    EMBEDDING,
    ENDS,
    LAYER,
    PACKED_MLP,
    PARAMETER,
    PLAIN_MLP,
    is_packed,
    prefix_tokens,
    timm_layout,
)

DINOV3_POSITION = dict(type='RotaryPosition')
DINOV3_HEADS = {1280: 20}
# Rows and columns are counted as if every grid were of 16 patches a side, at any patch size.
EVA02_POSITION = dict(
    type='RotaryPosition', base=1e4, reference=16, pairs='interleaved', learned=True
)
FIXED = 'made anew for every grid'
# Channels of the one model of these names that norms what leaves its branches.
_ENORMOUS = 1792
PRETRAINING = 'of masked pretraining'

_ATTENTION = (
    Rule(rf'{BLOCK}norm([12])\.{PARAMETER}', rf'{LAYER}ln\2.\3'),
    Rule(rf'{BLOCK}attn\.qkv\.weight', rf'{LAYER}attn.qkv.weight'),
    Rule(rf'{BLOCK}attn\.(proj|q_norm|k_norm)\.{PARAMETER}', rf'{LAYER}attn.\2.\3'),
    # Keys have no bias.
    *(
        Rule(rf'{BLOCK}attn\.{letter}_bias', rf'{LAYER}attn.qkv.bias', part=part)
        for part, letter in enumerate('qkv')
    ),
    *(
        Rule(rf'{BLOCK}attn\.{letter}_proj\.{PARAMETER}', rf'{LAYER}attn.qkv.\2', part=part)
        for part, letter in enumerate('qkv')
    ),
    Rule(rf'{BLOCK}gamma_1', rf'{LAYER}attn.gamma1.weight'),
    Rule(rf'{BLOCK}gamma_2', rf'{LAYER}ffn.gamma2.weight'),
)
_GATED_MLP = (
    Rule(rf'{BLOCK}mlp\.fc1_g\.{PARAMETER}', rf'{LAYER}ffn.w12.\2', part=0, parts=2),
    Rule(rf'{BLOCK}mlp\.fc1_x\.{PARAMETER}', rf'{LAYER}ffn.w12.\2', part=1, parts=2),
    Rule(rf'{BLOCK}mlp\.norm\.{PARAMETER}', rf'{LAYER}ffn.norm.\2'),
    Rule(rf'{BLOCK}mlp\.fc2\.{PARAMETER}', rf'{LAYER}ffn.w3.\2'),
)
_LEFT_OUT = (
    Rule(r'(?:blocks\.\d+\.attn\.)?rope\.(?:freqs_(?:cos|sin)|bands|periods)', None, why=FIXED),
    Rule(r'mask_token|lm_head\..+', None, why=PRETRAINING),
)


def _is_gated(state: Mapping[str, Tensor]) -> bool:
    return 'blocks.0.mlp.fc1_g.weight' in state


def _rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    mlp = _GATED_MLP if _is_gated(state) else PACKED_MLP if is_packed(state) else PLAIN_MLP
    return EMBEDDING + _ATTENTION + mlp + ENDS + _LEFT_OUT


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    num_aux = prefix_tokens(state)
    _refuse_others(state)
    if 'pos_embed' not in state:
        return describe_vit(
            renamed, hints, heads=DINOV3_HEADS, eps=1e-5, position=dict(DINOV3_POSITION)
        )
    gated = _is_gated(state) or is_packed(state)
    return describe_vit(
        renamed,
        hints,
        leading=(num_aux, 0),
        position=dict(EVA02_POSITION) if gated else None,
        interpolate_mode='antialias',
    )


def _refuse_others(state: Mapping[str, Tensor]) -> None:
    """Refuse what has the names of EVA, EVA-02 and DINOv3 and computes something else."""
    has_position, scaled = 'pos_embed' in state, 'blocks.0.gamma_1' in state
    is_dinov3 = scaled and {'cls_token', 'reg_token'} <= set(state)
    if has_position == scaled or not (has_position or is_dinov3):
        name = 'blocks.0.gamma_1' if scaled else 'blocks.0.norm1.weight'
        raise UserError(
            f'{name!r} is of an Eva that is neither EVA, EVA-02 nor DINOv3, and weights do not say '
            'how it turns queries and keys; no position= of a TokenViT is known to fit it'
        )
    if state['blocks.0.norm1.weight'].numel() == _ENORMOUS:
        raise UserError(
            "'blocks.0.norm1.weight' is of timm's eva02_enormous, whose norms follow their "
            'branches; no option of a TokenViT puts them there'
        )


def _layout(state: Mapping[str, Tensor], renamed: Renamed) -> dict:
    return dict(
        model='Eva',
        packed=is_packed(state),
        fused='blocks.0.attn.qkv.weight' in state,
        **timm_layout(state, renamed),
    )


FAMILY = Family(
    name='timm',
    what="timm's Eva",
    marks=(
        r'patch_embed\.proj\.weight',
        r'blocks\.0\.(?:attn\.(?:q_bias|q_proj\.weight)|gamma_1)',
        r'blocks\.0\.norm1\.weight',
    ),
    rules=_rules,
    finish=_finish,
    layout=_layout,
)
