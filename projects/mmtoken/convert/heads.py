"""Classification heads of converted weights: kept where they mean the same, or left out."""

from __future__ import annotations

from mmtoken.errors import UserError

from .conversion import Conversion
from .rules import Fate

LEFT_OUT = 'of the head; --head keeps it'


def settle_head(conversion: Conversion, keep: bool) -> None:
    """Keep the head of converted weights, or leave it out, in place.

    Args:
        conversion: Weights with the head that the file has, if any.
        keep: Whether to keep it.

    Raises:
        UserError: If it is to be kept, and there is none, or it stands behind what ours do not
            compute.
    """
    names = [name for name in conversion.state if name.startswith('head.')]
    if not keep:
        for name in names:
            conversion.state.pop(name)
        for old, fate in conversion.report.items():
            if fate.into in names:
                conversion.report[old] = Fate('dropped', None, LEFT_OUT)
        return
    if not names:
        raise UserError(f'the weights of {conversion.what} have no head; leave --head out')
    if conversion.layout.get('fc_norm'):
        raise UserError(
            "'fc_norm.weight' norms the mean of the tokens, and a TokenViT norms the tokens: the "
            'head behind it would see something else; leave --head out'
        )
