"""Positions of another image size or window size, made to fit while weights are loaded."""

from __future__ import annotations

from math import isqrt

from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.vit.position import log_resized, resize_position, warn_of_square

from .window_attention import WindowAttention

TABLE = 'relative_position_bias_table'


def adapt_pyramid_on_load(module: nn.Module, state: dict[str, Tensor], prefix: str = '') -> None:
    """Resize the absolute positions and the tables of relative ones that a pyramid loads.

    Both are stretched bicubically, as microsoft's and timm's code do it; mmpretrain's function for
    tables asks SciPy for one that it has no longer. What is of another width, or for other heads,
    is left to torch, which refuses it. Absolute positions of another grid count as those of a
    square one, and as those of this grid where there are as many: weights do not say of which.
    A warning says so where a square one has as many. What was resized is logged.

    Args:
        module: The pyramid.
        state: Changed in place.
        prefix: What precedes the pyramid's own names in it.

    Raises:
        UserError: If absolute positions are of neither this grid nor a square one.
    """
    for path, part in module.named_modules():
        if isinstance(part, WindowAttention):
            # Also where pruned weights lack them.
            for name, made in part.made_of_window().items():
                own = getattr(part, name)
                state[f'{prefix}{path}.{name}'] = made.to(own.dtype) if own.is_meta else own
    resized = []
    for name, own in module.state_dict().items():
        given = state.get(prefix + name)
        if given is None or given.ndim != own.ndim:
            continue
        if given.shape == own.shape:
            if name == 'absolute_pos_embed':
                warn_of_square(name, module.patch_resolution)
            continue
        if name == 'absolute_pos_embed' and given.shape[2] == own.shape[2]:
            side = isqrt(given.shape[1])
            if side**2 != given.shape[1]:
                raise UserError(
                    f'absolute_pos_embed has {given.shape[1]} positions, neither the grid '
                    f'{module.patch_resolution[0]}x{module.patch_resolution[1]} of this backbone '
                    'nor a square one; build the backbone at the img_size it was trained on'
                )
            state[prefix + name] = resize_position(
                given, (side, side), module.patch_resolution, 0, module.interpolate_mode
            )
        elif name.endswith(TABLE) and given.shape[1] == own.shape[1]:
            sides = isqrt(given.shape[0]), isqrt(own.shape[0])
            # 2s − 1 offsets along a side of s places.
            if sides[0] ** 2 != given.shape[0] or sides[0] % 2 == 0:
                raise UserError(
                    f'{name} has {given.shape[0]} rows, which are the offsets of no square window; '
                    'only weights of square windows can be loaded'
                )
            # (S², h) → (1, S², h), as positions of a grid of offsets.
            stretched = resize_position(given[None], (sides[0],) * 2, (sides[1],) * 2, 0)
            state[prefix + name] = stretched[0]
        else:
            continue
        resized.append((name.split('.')[-1], given.shape, own.shape))
    log_resized(resized)
