"""Rename the weights of other projects; values are passed through untouched."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.weights import weights_of

from .cat import convert_cat
from .dwnet import convert_dwnet
from .renaming import rename
from .swin import convert_swin

# Ordered (pattern, replacement) pairs; the first that matches the whole name renames it.
_HEADS = [
    (r'head\.(weight|bias)', r'head.layers.head.\1'),
    (r'head_dist\.(weight|bias)', r'head.layers.head_dist.\1'),
]
_TIMM_VIT = [
    (r'(cls_token|dist_token|pos_embed)', r'backbone.\1'),
    (r'reg_token', r'backbone.reg_tokens'),
    (r'patch_embed\.proj\.(.+)', r'backbone.patch_embed.projection.\1'),
    (r'norm\.(weight|bias)', r'backbone.ln1.\1'),
    (r'blocks\.(\d+)\.norm([12])\.(.+)', r'backbone.layers.\1.ln\2.\3'),
    (r'blocks\.(\d+)\.mlp\.fc1\.(.+)', r'backbone.layers.\1.ffn.layers.0.0.\2'),
    (r'blocks\.(\d+)\.mlp\.fc2\.(.+)', r'backbone.layers.\1.ffn.layers.1.\2'),
    (r'blocks\.(\d+)\.attn\.(qkv|proj)\.(weight|bias)', r'backbone.layers.\1.attn.\2.\3'),
    *_HEADS,
]
_LV_VIT = [
    (r'patch_embed\.(conv|bn)([123])\.(.+)', r'backbone.patch_embed.\1\2.\3'),
    (r'aux_head\.(weight|bias)', r'head.layers.aux_head.\1'),
    *_TIMM_VIT,
]
_LIFE = [
    (r'blocks\.(\d+)\.attn\.qkv\.scale1\.(.+)', r'backbone.layers.\1.attn.qkv.linear.\2'),
    (r'blocks\.(\d+)\.attn\.qkv\.norm\.(.+)', r'backbone.layers.\1.attn.qkv.norm.\2'),
    *(
        (
            rf'blocks\.(\d+)\.attn\.qkv\.scale{scale}\.(depthwise|pointwise)\.weight',
            rf'backbone.layers.\1.attn.qkv.\2.{scale - 2}.weight',
        )
        for scale in range(2, 10)
    ),
]

_VITS = {
    'deit': _TIMM_VIT,
    'timm': _TIMM_VIT,
    'tl-align': _TIMM_VIT,
    'life': _LIFE + _TIMM_VIT,
    'lv-vit': _LV_VIT,
}
_PYRAMIDS = {
    'swin': convert_swin,
    'life-swinv2': convert_swin,
    'cat': convert_cat,
    'dwnet': convert_dwnet,
}
SOURCES = (*_VITS, *_PYRAMIDS)


def convert_state_dict(state: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Rename the weights of another project for an `ImageClassifier` over `TokenViT`, `LIFEViT`,
    `LVViT` or a pyramid.

    Weights of 'life' with a class token were trained with the released code's key of that token;
    nothing in them says so to the model that loads them, so a warning says it to the user.

    Args:
        state: Weights by the names of the other project, or a checkpoint that holds them
            (`mmtoken.weights.weights_of`).
        source: 'deit', 'timm' and 'tl-align' (timm's `VisionTransformer`, whose names
            facebookresearch/deit and Euphoria16/TL-Align use too), 'life' (NeurAI-Lab/LIFE; the
            model needs `aux_key='first'` to compute the same function), 'lv-vit'
            (zihangJiang/TokenLabeling, for an `LVViT` with `TokenLabelHead` and the
            `residual_scale` of its size; `fold_residual_scale` does without); for pyramids with a
            `LinearClsHead`, whose mergings order channels otherwise and are put in mmcv's order:
            'swin' (microsoft/Swin-Transformer, V1 and V2), 'life-swinv2' (NeurAI-Lab/LIFE's Swin
            V2, without its biases of q and v, which nothing reads), 'cat' (linhezheng19/CAT) and
            'dwnet' (Atten4Vis/DemystifyLocalViT; its dense backbones need `pad_to_window=True` and
            an `out_norm_cfg` of batch norms), of the last two dense backbones as well.

    Returns:
        The tensors as `backbone.*` and `head.*`, to be loaded strictly.

    Raises:
        UserError: If the source, or a name in the state dict, is unknown.
    """
    if source in _PYRAMIDS:
        return _PYRAMIDS[source](weights_of(state), source)
    if source not in SOURCES:
        raise UserError(f'source {source!r} is unknown; use one of {sorted(SOURCES)}')
    converted = {
        rename(name, _VITS[source], source): value for name, value in weights_of(state).items()
    }
    if source == 'life' and 'backbone.cls_token' in converted:
        warnings.warn(
            "the weights of NeurAI-Lab/LIFE belong to projection=dict(type='LIFEProjection', "
            "aux_key='first'): set it in the model, since a default LIFEViT takes them without an "
            'error and computes another function',
            stacklevel=2,
        )
    return converted
