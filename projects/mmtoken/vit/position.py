"""Absolute position embeddings at another grid than they were learned on."""

from __future__ import annotations

from math import isqrt

from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor

from mmtoken.errors import UserError

AUX_NAMES = ('cls_token', 'dist_token', 'reg_tokens')


def adapt_position(
    pos_embed: Tensor,
    source_aux: int,
    grid: tuple[int, int],
    num_aux: int,
) -> Tensor:
    """Make position embeddings of another model fit: resize the grid bicubically, drop surplus
    auxiliary rows.

    A state dict does not say which grid its positions are of. As many positions as this grid has
    are taken for its own: those of an 8×8 grid would pass as 4×16 ones, in the wrong places. Resize
    such weights yourself before loading them.

    Args:
        pos_embed: (1, A′ + H′·W′, C), of a square grid H′ = W′ or of this very grid.
        source_aux: A′.
        grid: (H, W) to resize to.
        num_aux: A ≤ A′ to keep.

    Returns:
        (1, A + H·W, C).

    Raises:
        UserError: If the embeddings are of an unknown, non-square grid.
    """
    patches = pos_embed.shape[1] - source_aux
    side = isqrt(max(patches, 0))
    source_grid = grid if patches == grid[0] * grid[1] else (side, side)
    if patches != source_grid[0] * source_grid[1]:
        raise UserError(
            f'pos_embed has {patches} patch positions, '
            f'neither the grid {grid[0]}x{grid[1]} of this backbone nor a square one; '
            'build the backbone at the img_size it was trained on'
        )
    pos_embed = resize_pos_embed(pos_embed, source_grid, grid, 'bicubic', source_aux)
    keep = min(num_aux, source_aux)
    return (
        pos_embed
        if keep == source_aux
        else pos_embed[:, [*range(keep), *range(source_aux, pos_embed.shape[1])]]
    )


def adapt_position_on_load(module, state_dict: dict, prefix: str, *_) -> None:
    """A `load_state_dict` pre-hook that adapts `pos_embed` to the backbone that loads it.

    How many auxiliary tokens the source had is read off its `cls_token`, `dist_token` and
    `reg_tokens`.
    """
    key = f'{prefix}pos_embed'
    if key not in state_dict:
        return
    source_aux = count_aux(state_dict, prefix)
    state_dict[key] = adapt_position(
        state_dict[key], source_aux, module.patch_resolution, module.num_aux_tokens
    )


def count_aux(state_dict: dict[str, Tensor], prefix: str = '') -> int:
    """Number of auxiliary tokens of the backbone whose weights stand under a prefix."""
    names = [prefix + name for name in AUX_NAMES]
    return sum(state_dict[name].shape[1] for name in names if name in state_dict)
