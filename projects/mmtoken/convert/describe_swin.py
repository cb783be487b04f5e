"""The config of the `Swin` or `SwinV2` that weights by our names are of."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.swin.swin import ARCHS
from mmtoken.swin.window_attention_v2 import OFFSETS, window_of

from .conversion import Hints
from .describe_pyramid import blocks_of, describe_pyramid
from .life_projection import describe_projection
from .rules import Renamed, of_backbone

_PREFIX = 'backbone.'
# The hints that a Swin's config depends on.
TAKEN = ('img_size', 'eps', 'window_size')
# Nothing but the table of offsets, which files may leave out, says by what they are scaled.
NOTE = (
    'a Swin V2 without its table of offsets does not say by which window it was trained before: if '
    "it was fine-tuned at a larger one, set the backbone's pretrained_window_sizes"
)
_ATTENTION = 'stages.{}.blocks.0.attn.w_msa.'


def describe_swin(renamed: Renamed, hints: Hints) -> dict:
    """The config of a Swin.

    Args:
        renamed: Weights by our names.
        hints: What the user says.

    Returns:
        A config for mmpretrain's registry; what is a default of `Swin` and `SwinV2` is not in it.

    Raises:
        UserError: If nothing says how large its windows are.
    """
    own = of_backbone(renamed.state)
    is_v2 = any(name.endswith('.logit_scale') for name in own)
    depths = blocks_of(own)
    stages = range(len(depths))
    heads = tuple(_heads(own, _ATTENTION.format(stage)) for stage in stages)
    config = dict(
        type='SwinV2' if is_v2 else 'Swin',
        **describe_pyramid(own, hints, ARCHS, dict(depths=tuple(depths), num_heads=heads)),
    )
    patch = own['patch_embed.projection.weight'].shape[-1]
    windows = _windows(renamed, stages, hints, (config.get('img_size'), patch))
    config['window_size'] = windows[0] if len(set(windows)) == 1 else windows
    earlier = tuple(_earlier(own, _ATTENTION.format(s), windows[s]) for s in stages)
    if 'out_indices' in config:
        # A backbone of detectors or segmentors, which pad and shift maps of every size.
        config['pad_small_map'] = True
    if any(earlier):
        config['pretrained_window_sizes'] = earlier
    return {**config, **_projection(own, is_v2)}


def _heads(own: Mapping[str, Tensor], attention: str) -> int:
    if attention + 'logit_scale' in own:
        return own[attention + 'logit_scale'].shape[0]
    return own[attention + 'relative_position_bias_table'].shape[1]


def _windows(renamed: Renamed, stages: range, hints: Hints, image: tuple) -> tuple:
    """Tokens per side of the windows of each stage, by what depends on them or the user says."""
    attentions = [_PREFIX + _ATTENTION.format(stage) for stage in stages]
    found = tuple(_window(renamed.state, attention) for attention in attentions)
    if None not in found:
        return found
    if hints.window_size is None:
        scale = attentions[0] + 'logit_scale'
        name = next(old for old, fate in renamed.report.items() if fate.into == scale)
        raise UserError(
            f'{name!r} is of Swin V2 without the table of relative positions, and nothing else '
            'says how large windows are; say it with --window-size'
        )
    size, patch = image
    # A grid that is smaller is one window.
    side = (min(size) if isinstance(size, tuple) else size or 256) // patch
    return tuple(min(hints.window_size, side >> stage) for stage in stages)


def _window(own: Mapping[str, Tensor], attention: str) -> int | None:
    for name, side in (
        ('relative_position_index', lambda value: isqrt(value.shape[0])),
        ('relative_position_bias_table', lambda value: (isqrt(value.shape[0]) + 1) // 2),
        (OFFSETS, lambda value: (value.shape[1] + 1) // 2),
    ):
        if attention + name in own:
            return side(own[attention + name])
    return None


def _earlier(own: Mapping[str, Tensor], attention: str, window: int) -> int:
    """The window of an earlier training, by which Swin V2 scales offsets; 0 if there was none."""
    table = own.get(attention + OFFSETS)
    found = 0 if table is None else window_of(table)
    return 0 if found == window else found


def _projection(own: Mapping[str, Tensor], is_v2: bool) -> dict:
    """What the config says of the projection, where it is not the default."""
    attention = _ATTENTION.format(0)
    if attention + 'qkv.linear.weight' in own:
        return dict(projection=describe_projection(own, attention))
    bias = attention + ('q_bias' if is_v2 else 'qkv.bias')
    return {} if bias in own else dict(qkv_bias=False)
