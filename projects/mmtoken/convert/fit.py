"""Whether converted weights are those of the backbone that their config builds, and no others."""

from __future__ import annotations

import torch
from mmpretrain.registry import MODELS

from mmtoken.errors import UserError
from mmtoken.vit.pretrained import compare_state

from .conversion import Conversion
from .rules import of_backbone

_PREFIX = 'backbone.'


def check_fit(conversion: Conversion) -> None:
    """Build the backbone, without its memory, and compare.

    Args:
        conversion: Weights and the config of their backbone.

    Raises:
        UserError: If a weight is missing, has no place or another shape; the first one by its name.
    """
    with MODELS.switch_scope_and_registry('mmpretrain') as registry, torch.device('meta'):
        backbone = registry.build(dict(conversion.backbone))
    state = of_backbone(conversion.state)
    coverage = compare_state(backbone, state)
    kind = conversion.backbone['type']
    if coverage.missing:
        raise UserError(
            f'the weights of {conversion.what} have no {coverage.missing[0]!r}, which a {kind} of '
            'their kind has; give the whole checkpoint of a model that norms, scales and biases '
            'all of its layers alike'
        )
    if coverage.unexpected:
        raise UserError(
            f'{_source(conversion, coverage.unexpected[0])!r} of {conversion.what} has no place in '
            f'a {kind}: no option of it computes what these weights do'
        )
    if wrong := [*coverage.mismatched, *coverage.resized]:
        raise UserError(
            f'{_source(conversion, wrong[0])!r} of {conversion.what} is of shape '
            f'{tuple(state[wrong[0]].shape)}, and one of shape '
            f'{tuple(backbone.state_dict()[wrong[0]].shape)} is expected beside the others; the '
            'file is damaged or of an unknown model'
        )


def _source(conversion: Conversion, name: str) -> str:
    """What a weight was called in the file."""
    into = _PREFIX + name
    return next((old for old, fate in conversion.report.items() if fate.into == into), name)
