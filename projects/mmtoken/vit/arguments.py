"""What the arguments of a `TokenViT` may be, and one clear error for what they may not."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmtoken.checks import check_probability, check_whole, is_whole
from mmtoken.errors import UserError

# Channels, layers and heads by the names that mmpretrain's `VisionTransformer` has for them: DeiT
# (Touvron et al. 2021) and ViT (Dosovitskiy et al. 2021; huge has patches of 14 pixels there).
_SIZES = {
    ('deit-t', 'deit-tiny'): (192, 12, 3),
    ('deit-s', 'deit-small'): (384, 12, 6),
    ('deit-b', 'deit-base', 'b', 'base'): (768, 12, 12),
    ('l', 'large'): (1024, 24, 16),
    ('h', 'huge'): (1280, 32, 16),
}
ARCHS = {
    name: dict(
        embed_dims=channels,
        num_layers=layers,
        num_heads=heads,
        feedforward_channels=4 * channels,
    )
    for names, (channels, layers, heads) in _SIZES.items()
    for name in names
}
OUT_TYPES = ('cls_token', 'avg_featmap', 'featmap', 'raw')
INTERPOLATE_MODES = ('bicubic', 'antialias', 'offset', 'tile')
POSITIONS = ('learned', 'sinusoidal')


def resolve_arch(arch: str | dict, archs: Mapping[str, dict] = ARCHS) -> dict[str, Any]:
    """The sizes of a preset or of a dict.

    Args:
        arch: A key of `archs`, or a dict with the sizes that those of `ARCHS` have, or with
            `stages` alone.
        archs: The presets of a backbone. Beside its sizes, one may say what other arguments of the
            backbone are by default with it.

    Returns:
        `embed_dims`, `num_layers`, `num_heads` and `feedforward_channels`, or `stages`, and such
        defaults.

    Raises:
        UserError: If the preset is unknown, or the dict has other keys or no whole numbers.
    """
    if isinstance(arch, dict):
        if set(arch) == {'stages'}:
            return dict(arch)
        keys = set(ARCHS['deit-tiny'])
        if set(arch) != keys:
            raise UserError(
                f'arch has keys {sorted(arch)}; expected exactly {sorted(keys)}, or stages alone'
            )
        for name, size in arch.items():
            check_whole(name, size, example=ARCHS['deit-tiny'][name])
        return dict(arch)
    if arch not in archs:
        raise UserError(f'arch {arch!r} is unknown; use one of {sorted(archs)} or a dict')
    return archs[arch]


def resolve_layers(
    name: str,
    indices: int | Sequence[int],
    num_layers: int,
    minimum: int = 0,
    what: str = 'layers',
) -> tuple[int, ...]:
    """A choice of layers as indices from 0.

    Args:
        name: What the choice is called, for the error.
        indices: A layer or a sequence of them; negatives count from the end.
        num_layers: How many layers there are.
        minimum: How many must be chosen at least.
        what: What they are of which it is a choice, for the error.

    Returns:
        The indices, in the order given.

    Raises:
        UserError: If an index is no layer's, or if there are too few.
    """
    listed = tuple(indices) if isinstance(indices, (list, tuple, range)) else (indices,)
    known = (is_whole(i) and -num_layers <= i < num_layers for i in listed)
    if len(listed) < minimum or not all(known):
        raise UserError(
            f'{name} {listed} is not a choice of {what} 0..{num_layers - 1} or {-num_layers}..-1'
        )
    return tuple(int(i) % num_layers for i in listed)


def resolve_pools(
    indices: Sequence[int], num_layers: int, pool: dict | Sequence[dict] | None
) -> tuple[int, ...]:
    """The layers before which tokens are pooled, each once, as of `resolve_layers`.

    Args:
        indices: The layers.
        num_layers: How many there are.
        pool: The config of the pooling layer, or one of each.

    Raises:
        UserError: If an index is no layer's, or the first's, or there is none and a config all the
            same, or another number of configs.
    """
    pooled = resolve_layers('pool_before', indices, num_layers)
    if 0 in pooled:
        raise UserError(
            f'pool_before {indices} has the first layer; tokens that are fewer from the start are '
            'those of a larger patch_size'
        )
    if pool and not pooled:
        raise UserError('pool is set, and pool_before names no layer; name some, or leave pool out')
    pooled = tuple(dict.fromkeys(pooled))
    if isinstance(pool, (list, tuple)) and len(pool) != len(pooled):
        raise UserError(
            f'pool has {len(pool)} configs for the {len(pooled)} layers that are pooled before, '
            f'{pooled}; give one config for all, or one for each'
        )
    return pooled


def resolve_start(trace_from: int, count: int) -> int:
    """The first layer that a trace is carried through, as an index from 0.

    Args:
        trace_from: The layer; negatives count from the end.
        count: How many layers run.

    Raises:
        UserError: If no such layer runs.
    """
    if not -count <= trace_from < count:
        raise UserError(
            f'trace_from {trace_from} is not one of the {count} layers that run; use '
            f'{-count}..{count - 1}'
        )
    return trace_from % count


def check_counts(num_aux_tokens: int, window_size: int) -> None:
    """Refuse numbers that have no meaning.

    Args:
        num_aux_tokens: Auxiliary tokens.
        window_size: Tokens per side of a window; 0 for none.

    Raises:
        UserError: If one of them has no meaning; the message names it.
    """
    check_whole('num_aux_tokens', num_aux_tokens, least=0, example=1)
    check_whole('window_size', window_size, least=0, example=14)


def check_frozen_stages(frozen_stages: int, count: int, parts: str) -> None:
    """Refuse to freeze what is not there.

    Args:
        frozen_stages: -1 for nothing, 0 for the embedding, n for as many parts as well.
        count: How many parts there are.
        parts: What they are called, for the error.

    Raises:
        UserError: If it is none of these.
    """
    if not is_whole(frozen_stages) or not -1 <= frozen_stages <= count:
        raise UserError(
            f'frozen_stages {frozen_stages!r} is none of -1..{count}; -1 freezes nothing, n the '
            f'embedding and the first n {parts}'
        )


def check_out_type(out_type: str, aux_layout: dict[str, int]) -> None:
    """Refuse an output that is unknown, or that needs a token which is not there.

    Args:
        out_type: One of `OUT_TYPES`.
        aux_layout: The auxiliary tokens by name.

    Raises:
        UserError: If it is none of them, or 'cls_token' without a class token.
    """
    if out_type not in OUT_TYPES:
        raise UserError(f'out_type {out_type!r} is unknown; use one of {OUT_TYPES}')
    if out_type == 'cls_token' and 'cls_token' not in aux_layout:
        raise UserError(
            "out_type 'cls_token' needs a class token; "
            f"use num_aux_tokens >= {sum(aux_layout.values()) + 1} or 'avg_featmap'"
        )


def check_position(position: str | Mapping) -> None:
    """Refuse a kind of position that is unknown.

    Args:
        position: One of `POSITIONS`, or the config of a rotary position.

    Raises:
        UserError: If it is none of them.
    """
    if not isinstance(position, Mapping) and position not in POSITIONS:
        raise UserError(
            f'position {position!r} is unknown; use one of {POSITIONS}, or '
            "dict(type='RotaryPosition')"
        )


def check_interpolate_mode(mode: str) -> None:
    """Refuse a way to bring position embeddings to another grid that is unknown.

    Args:
        mode: One of `INTERPOLATE_MODES`.

    Raises:
        UserError: If it is none of them.
    """
    if mode not in INTERPOLATE_MODES:
        raise UserError(f'interpolate_mode {mode!r} is unknown; use one of {INTERPOLATE_MODES}')


def check_image(img_size: int | Sequence[int], patch_size: int, in_channels: int) -> None:
    """Refuse images and patches that cannot be.

    Args:
        img_size: Side, or height and width, in pixels.
        patch_size: Patch side in pixels.
        in_channels: Image channels.

    Raises:
        UserError: If one of them is no whole number, or none of an image.
    """
    sides = img_size if isinstance(img_size, (list, tuple)) else [img_size] * 2
    if len(sides) != 2:
        raise UserError(
            f'img_size {img_size!r} is neither a side nor height and width; use one or two '
            'numbers, such as 224 or (224, 224)'
        )
    for side in sides:
        check_whole('img_size', side, example=224)
    check_whole('patch_size', patch_size, example=16)
    check_whole('in_channels', in_channels, example=3)


def check_rates(drop_rate: float, attn_drop_rate: float, drop_path_rate: float) -> None:
    """Refuse dropout of everything, or of less than nothing.

    Args:
        drop_rate: Dropout of features.
        attn_drop_rate: Dropout of attention weights.
        drop_path_rate: Stochastic depth.

    Raises:
        UserError: If one is no probability below 1, at which nothing is left to divide by.
    """
    check_probability('drop_rate', drop_rate)
    check_probability('attn_drop_rate', attn_drop_rate)
    check_probability('drop_path_rate', drop_path_rate)
