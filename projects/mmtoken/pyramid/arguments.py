"""What the arguments of a pyramid may be, and one clear error for what they may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from mmtoken.checks import check_number, check_probability, check_whole
from mmtoken.errors import UserError, near_miss


def resolve_pyramid(arch: str | dict, archs: Mapping[str, dict], keys: Sequence[str]) -> dict:
    """The arch that a preset names, or a given one.

    Args:
        arch: A key of `archs`, or a dict.
        archs: The presets.
        keys: What a dict has; the last two are lists with an entry for each stage.

    Raises:
        UserError: If the preset is unknown, or the dict is not made so.
    """
    if not isinstance(arch, Mapping):
        if arch not in [*archs]:
            raise UserError(
                f'arch {arch!r} is unknown; use one of {sorted(archs)}'
                f'{near_miss(str(arch), archs)}, or a dict with {", ".join(keys)}'
            )
        return archs[arch]
    lists = [arch.get(key) for key in keys[1:]]
    fits = set(arch) == set(keys) and all(isinstance(e, (list, tuple)) for e in lists)
    if not fits or not lists[0] or len(lists[0]) != len(lists[1]):
        raise UserError(
            f'arch {dict(arch)!r} is not a dict with {keys[0]}, {keys[1]} and {keys[2]}, as many '
            'of these as stages; correct it'
        )
    check_whole('embed_dims', arch['embed_dims'], example=96)
    for depth in arch['depths']:
        check_whole('depths', depth, example=2)
    for count in lists[1]:
        check_whole(keys[2], count, example=3)
    return dict(arch)


def check_mlp_ratio(mlp_ratio: float, width: int) -> None:
    """Refuse MLPs without hidden channels, or without end.

    Args:
        mlp_ratio: Hidden channels over those of a block.
        width: Channels of the narrowest block.

    Raises:
        UserError: If `mlp_ratio` is no number, or makes such MLPs.
    """
    check_number('mlp_ratio', mlp_ratio, above=0, example=4, below=inf)
    if mlp_ratio * width < 1:
        raise UserError(
            f'mlp_ratio {mlp_ratio!r} leaves no hidden channel of the {width} of the first stage; '
            'use a larger one, such as 4'
        )


def check_attention(qk_scale: float | None, attn_drop_rate: float) -> None:
    """Refuse what an attention cannot be scaled by, and what is no probability.

    Args:
        qk_scale: What q·kᵀ is multiplied by; None for the default.
        attn_drop_rate: Dropout probability of the attention weights.

    Raises:
        UserError: If one of them has no meaning.
    """
    check_probability('attn_drop_rate', attn_drop_rate)
    if qk_scale is not None:
        check_number('qk_scale', qk_scale, above=0, example=0.125, below=inf)
