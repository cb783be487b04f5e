"""Weights of a model with residual scales as those of an ordinary one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from mmtoken.checks import check_number
from mmtoken.errors import UserError

# What a block adds to its residual stream comes out of these.
_LAST = re.compile(r'(^|.*\.)layers\.\d+\.(attn\.proj|ffn\.layers\.1|ffn\.w3)\.(weight|bias)')


def fold_residual_scale(state: Mapping[str, Tensor], residual_scale: float) -> dict[str, Tensor]:
    """Divide by λ what leaves each branch, so that a backbone with λ = 1 computes the same.

    Args:
        state: Weights by our names, of a backbone or a whole model (`convert_state_dict`).
        residual_scale: λ of the model that they are of; 2 in LV-ViT-S and M, 3 in L.

    Returns:
        The weights for `residual_scale=1`; the others are the same tensors.

    Raises:
        UserError: If λ is not above 0, or no name is that of a block's branch.
    """
    check_number('residual_scale', residual_scale, above=0, example=2)
    if not any(map(_LAST.fullmatch, state)):
        raise UserError(
            f'no weight of {", ".join(list(state)[:3])} … is of a block of TokenViT; '
            'convert_state_dict gives them the names that are looked for'
        )
    return {
        name: value / residual_scale if _LAST.fullmatch(name) else value
        for name, value in state.items()
    }
