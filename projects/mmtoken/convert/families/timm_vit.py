"""timm's `VisionTransformer`: ViT, AugReg, DeiT, DeiT III, DINOv2, CLIP, and the projects that took
its names: facebookresearch/deit, facebookresearch/mae's encoder, Euphoria16/TL-Align.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmtoken.errors import UserError

from ..conversion import Family, Hints
from ..describe import describe_vit, refuse_unknown_activation
from ..rules import Renamed, Rule
from .clip import ACTIVATIONS as CLIP_ACTIVATIONS

BLOCK, LAYER = r'blocks\.(\d+)\.', r'backbone.layers.\1.'
PARAMETER = r'(weight|bias)'
_HEADS_OF_SIGLIP = {1536: 16}
ATTENTION_POOL = 'attention pooling of a head, which is no part of the backbone'
FC_NORM = 'norms the mean of the tokens there, and every token here'

EMBEDDING = (
    Rule(r'(cls_token|dist_token|pos_embed)', r'backbone.\1'),
    Rule(r'reg_token', r'backbone.reg_tokens'),
    Rule(rf'patch_embed\.proj\.{PARAMETER}', r'backbone.patch_embed.projection.\1'),
    Rule(rf'norm_pre\.{PARAMETER}', r'backbone.pre_norm.\1'),
)
ENDS = (
    Rule(rf'norm\.{PARAMETER}', r'backbone.ln1.\1'),
    Rule(rf'fc_norm\.{PARAMETER}', r'backbone.ln1.\1', why=FC_NORM),
    Rule(rf'head\.{PARAMETER}', r'head.layers.head.\1'),
    Rule(rf'head_dist\.{PARAMETER}', r'head.layers.head_dist.\1'),
    Rule(r'attn_pool\..+', None, why=ATTENTION_POOL),
)
PLAIN_MLP = (
    Rule(rf'{BLOCK}mlp\.fc1\.(.+)', rf'{LAYER}ffn.layers.0.0.\2'),
    Rule(rf'{BLOCK}mlp\.fc2\.(.+)', rf'{LAYER}ffn.layers.1.\2'),
)
# Gate and value one below the other, as ours are.
PACKED_MLP = (
    Rule(rf'{BLOCK}mlp\.fc1\.(.+)', rf'{LAYER}ffn.w12.\2'),
    Rule(rf'{BLOCK}mlp\.fc2\.(.+)', rf'{LAYER}ffn.w3.\2'),
)
BLOCKS = (
    Rule(rf'{BLOCK}norm([12])\.{PARAMETER}', rf'{LAYER}ln\2.\3'),
    Rule(rf'{BLOCK}attn\.(qkv|proj|q_norm|k_norm)\.{PARAMETER}', rf'{LAYER}attn.\2.\3'),
    Rule(rf'{BLOCK}ls1\.gamma', rf'{LAYER}attn.gamma1.weight'),
    Rule(rf'{BLOCK}ls2\.gamma', rf'{LAYER}ffn.gamma2.weight'),
)


def is_packed(state: Mapping[str, Tensor]) -> bool:
    """Whether the first map of the MLP makes gates as well: twice what the second one takes."""
    first, second = (state.get(f'blocks.0.mlp.fc{part}.weight') for part in (1, 2))
    return first is not None and second is not None and first.shape[0] == 2 * second.shape[-1]


def prefix_tokens(state: Mapping[str, Tensor]) -> int:
    """How many tokens stand before the patches."""
    tokens = ('cls_token', 'dist_token', 'reg_token', 'reg_tokens')
    return sum(state[name].shape[1] for name in tokens if name in state)


def vit_rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    """The rules of timm's `VisionTransformer`."""
    return EMBEDDING + BLOCKS + (PACKED_MLP if is_packed(state) else PLAIN_MLP) + ENDS


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    _refuse_others(state)
    if hints.activation is None and not is_packed(state):
        _ask_for_activation(state)
    # Position on all of them, or on none.
    return describe_vit(
        renamed,
        hints,
        leading=(prefix_tokens(state), 0),
        heads=None if 'cls_token' in state else _HEADS_OF_SIGLIP,
        eps=1e-5 if 'norm_pre.weight' in state else 1e-6,
        interpolate_mode='antialias',
    )


def _refuse_others(state: Mapping[str, Tensor]) -> None:
    """Refuse what has the names of a plain ViT and computes something else."""
    if 'norm_pre.weight' in state and any(name.startswith('attn_pool.') for name in state):
        raise UserError(
            "'norm_pre.weight' beside attn_pool is of a Perception Encoder, whose queries and keys "
            'are turned as no position= of a TokenViT turns them'
        )
    has_any = {'cls_token', 'blocks.0.attn.qkv.bias', 'blocks.0.ls1.gamma'} & set(state)
    if not has_any:
        raise UserError(
            "'blocks.0.norm1.weight' of a model without class token, bias of queries and "
            "LayerScale is of timm's vit_*_rpn, whose norms follow their branches; no option of a "
            'TokenViT puts them there'
        )


def _ask_for_activation(state: Mapping[str, Tensor]) -> None:
    """Refuse weights of families that were trained with one activation or another."""
    if 'norm_pre.weight' in state:
        refuse_unknown_activation('norm_pre.weight', 'CLIP', CLIP_ACTIVATIONS)
    if not {'cls_token', 'fc_norm.weight', 'blocks.0.ls1.gamma'} & set(state):
        choices = 'GELU-tanh for SigLIP 2 and the sizes so400m and giantopt, GELU for the others'
        refuse_unknown_activation('norm.weight', 'SigLIP', choices)


def timm_layout(state: Mapping[str, Tensor], renamed: Renamed) -> dict:
    """What must be known to write both of timm's layouts again."""
    position = renamed.report.get('pos_embed')
    return dict(
        no_embed_class=position is not None and position.what == 'changed',
        fc_norm='fc_norm.weight' in state,
    )


def _layout(state: Mapping[str, Tensor], renamed: Renamed) -> dict:
    return dict(model='VisionTransformer', **timm_layout(state, renamed))


FAMILY = Family(
    name='timm',
    what="timm's VisionTransformer, whose names DeiT, MAE's encoder and TL-Align have too",
    marks=(
        r'patch_embed\.proj\.weight',
        r'blocks\.0\.attn\.qkv\.weight',
        r'blocks\.0\.norm1\.weight',
    ),
    rules=vit_rules,
    finish=_finish,
    aliases=('deit', 'tl-align'),
    notes=(
        "files of facebookresearch/mae's encoder have these names, too: for their own way to other "
        'image sizes say --from mae',
    ),
    layout=_layout,
)
