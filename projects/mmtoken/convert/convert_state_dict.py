"""Rename the weights of other projects for a whole model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.weights import weights_of

from .cat import convert_cat
from .dwnet import convert_dwnet
from .families.life import life_rules
from .families.lv_vit import lv_vit_rules
from .families.timm_vit import vit_rules
from .rules import apply_rules
from .swin import convert_swin

_VITS = {
    'deit': vit_rules,
    'timm': vit_rules,
    'tl-align': vit_rules,
    'life': life_rules,
    'lv-vit': lv_vit_rules,
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
    if not isinstance(source, str) or source not in SOURCES:
        raise UserError(f'source {source!r} is unknown; use one of {sorted(SOURCES)}')
    weights = weights_of(state)
    if source in _PYRAMIDS:
        return _PYRAMIDS[source](weights, source)
    converted = apply_rules(weights, _VITS[source](weights), source).state
    if source == 'life' and 'backbone.cls_token' in converted:
        warnings.warn(
            "the weights of NeurAI-Lab/LIFE belong to projection=dict(type='LIFEProjection', "
            "aux_key='first'): set it in the model, since a default LIFEViT takes them without an "
            'error and computes another function',
            stacklevel=2,
        )
    return converted
