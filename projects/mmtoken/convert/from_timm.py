"""A `TokenViT` for a model of timm, by its name there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.errors import UserError, near_miss
from mmtoken.vit.pretrained import load_state
from mmtoken.vit.token_vit import TokenViT

from .conversion import Hints
from .recognise import convert
from .rules import of_backbone

# By the names of their classes; those of gates need no name, since names of weights tell them.
_ACTIVATIONS = {'GELU': 'GELU', 'GELUTanh': 'GELU-tanh', 'QuickGELU': 'QuickGELU', 'SiLU': None}


def backbone_from_timm(name: str, pretrained: bool = False, **options: Any) -> TokenViT:
    """Build the `TokenViT` that computes what a model of timm does.

    Its tokens are those of timm's `forward_features`, so a final norm that timm applies to the mean
    of the tokens (`fc_norm`) is applied to every token.

    Args:
        name: Of a `VisionTransformer` or an `Eva`, as `timm.list_models()` has it, with or without
            a tag: 'vit_small_patch14_reg4_dinov2.lvd142m'.
        pretrained: Whether timm loads the weights of that name, from its cache or from the network.
        **options: Arguments of `TokenViT` that take the place of those that the model needs, such
            as `out_indices`, `window_size` or `frozen_stages`.

    Returns:
        The backbone; without `pretrained`, to be initialized by its `init_weights`, as a runner
        does.

    Raises:
        UserError: If timm is not installed, does not have the model or its weights, or if it is a
            model that a `TokenViT` cannot be.
    """
    model = _create(name, pretrained)
    conversion = convert(model.state_dict(), 'timm', _hints(model, name))
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        backbone = registry.build({**conversion.backbone, **options})
    if pretrained:
        weights = of_backbone(conversion.state)
        load_state(backbone, weights, f"timm's weights of {name}", conversion.backbone)
    return backbone


def _create(name: str, pretrained: bool) -> nn.Module:
    """The model of timm; without weights, it takes no memory."""
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f'{name!r} is a model of timm, which is not installed; pip install timm'
        ) from error
    known = timm.list_models() + timm.list_pretrained()
    if name not in known:
        raise UserError(
            f'{name!r} is no model of timm {timm.__version__}'
            f'{near_miss(name, known) or "; choose one of timm.list_models()"}'
        )
    with torch.device('cpu' if pretrained else 'meta'):
        try:
            model = timm.create_model(name, pretrained=pretrained, num_classes=0)
        except Exception as error:  # Whatever the network, the hub or a cache answers with.
            raise UserError(
                f'timm could not make {name!r}: {error}; where it cannot download, fetch the file '
                'elsewhere and use tools/model_converters/convert.py'
            ) from error
    return model


def _hints(model: nn.Module, name: str) -> Hints:
    """What names and shapes of weights do not say."""
    from timm.models.eva import Eva, EvaBlock
    from timm.models.vision_transformer import Block, VisionTransformer

    if not isinstance(model, (VisionTransformer, Eva)):
        raise UserError(
            f'{name!r} is a {type(model).__name__}, which a TokenViT cannot be; give the name of a '
            'VisionTransformer or an Eva, such as vit_small_patch16_224'
        )
    block = model.blocks[0]
    if type(block) not in (Block, EvaBlock):
        raise UserError(
            f'{name!r} is made of {type(block).__name__}, which no option of a TokenViT makes; '
            'give the name of a model of Block or EvaBlock, such as vit_small_patch16_224'
        )
    activation = type(block.mlp.act).__name__
    if activation not in _ACTIVATIONS:
        raise UserError(
            f'{name!r} has {activation} in its MLPs, which no mlp= of a TokenViT is known to be; '
            f'give the name of a model with one of {", ".join(_ACTIVATIONS)}'
        )
    return Hints(
        num_heads=block.attn.num_heads,
        activation=_ACTIVATIONS[activation],
        # What the positions are of: a patch that is cut off at the edge has none.
        img_size=tuple(count * side for count, side in zip(*_grid(model), strict=True)),
        eps=block.norm1.eps,
    )


def _grid(model: nn.Module) -> tuple[Sequence[int], Sequence[int]]:
    """Patches, and pixels of a patch, along rows and columns."""
    return model.patch_embed.grid_size, model.patch_embed.patch_size
