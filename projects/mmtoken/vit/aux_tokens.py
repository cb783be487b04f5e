"""Which tokens stand before the patches: class, distillation (DeiT) and registers (Darcet et al.,
arXiv 2309.16588).
"""

from __future__ import annotations

from torch import Tensor

from mmtoken.errors import UserError

# By the names of their parameters, in their order.
AUX_NAMES = ('cls_token', 'dist_token', 'reg_tokens')


def aux_layout(num_aux_tokens: int, num_registers: int | None) -> dict[str, int]:
    """How many auxiliary tokens each parameter holds.

    Args:
        num_aux_tokens: A, all of them.
        num_registers: How many of them are registers; None for all but class and distillation
            token.

    Returns:
        Names of `AUX_NAMES` and counts, in their order; only those that are there.

    Raises:
        UserError: If others remain than class and distillation token.
    """
    if num_registers is None:
        num_registers = max(0, num_aux_tokens - 2)
    others = num_aux_tokens - num_registers
    if num_registers < 0 or not 0 <= others <= 2:
        low = max(0, num_aux_tokens - 2)
        raise UserError(
            f'num_registers {num_registers} of num_aux_tokens {num_aux_tokens} '
            'must leave a class token, a class and a distillation token, or neither; '
            f'use {low}..{num_aux_tokens}'
        )
    counts = dict.fromkeys(AUX_NAMES[:others], 1)
    return {**counts, 'reg_tokens': num_registers} if num_registers else counts


def found_layout(state: dict[str, Tensor], prefix: str = '') -> dict[str, int]:
    """The auxiliary tokens of the backbone whose weights stand under a prefix, as `aux_layout`."""
    names = [name for name in AUX_NAMES if prefix + name in state]
    return {name: state[prefix + name].shape[1] for name in names}
