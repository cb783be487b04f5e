"""By which options two backbones differ: that which weights are of, and that which loads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.cnn.bricks.scale import LayerScale
from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmtoken.errors import UserError

from .rotary_position import RotaryPosition
from .token_block import TokenBlock

# Those that change what is computed, and not which weights there are.
_SILENT = ('arch', 'projection', 'mlp', 'position', 'residual_scale', 'qk_scale')
# Where mmengine has its SyncBN.
_SYNCHRONIZED = 'mmengine.utils.dl_utils.parrots_wrapper'
# Where what a backbone is made of comes from.
_PARTS = ('mmtoken.', 'torch.nn.', 'mmcv.cnn.', 'mmpretrain.models.utils.', _SYNCHRONIZED)
# Those that change it a little, or at other image sizes alone, or on purpose where weights go on to
# be fine-tuned.
_SLIGHT = (
    'norm_cfg',
    'block_norm_cfg',
    'interpolate_mode',
    'pad_to_window',
    'pretrained_window_sizes',
)


@dataclass(frozen=True)
class Differing:
    """Options of the backbone that weights are of, as `name=value`, where another one differs.

    Args:
        needed: All of them, or the whole config where it is of another kind; '' where nothing is
            known, or nothing differs.
        silent: Those without which the weights load and another function is computed.
        slight: Those without which features differ, mostly little.
    """

    needed: str = ''
    silent: str = ''
    slight: str = ''

    def enforce(self, source: str, allow_partial: bool) -> None:
        """Refuse another function, and log what changes features.

        Args:
            source: What was loaded, in the plural.
            allow_partial: Whether to go on all the same.

        Raises:
            UserError: If the function is another one and `allow_partial` is off.
        """
        if self.silent and not allow_partial:
            raise UserError(
                f'{source} fit, but are of a backbone with {self.silent}, without which another '
                'function is computed: set this in the config, or allow_partial=True to go on'
            )
        if self.slight:
            print_log(
                f'{source} are of a backbone with {self.slight}, without which features differ '
                'from those it had; set this in the config to have the same ones',
                logger='current',
            )


def differing_options(module: nn.Module, config: Any) -> Differing:
    """Compare a backbone with that which weights are of.

    Args:
        module: The backbone.
        config: Of the other one, as a converted file carries it; None where it carries none.

    Returns:
        What differs; nothing where nothing is known.
    """
    if not isinstance(config, Mapping) or 'type' not in config or not _is_harmless(config):
        return Differing()
    with MODELS.switch_scope_and_registry('mmpretrain') as registry, torch.device('meta'):
        try:
            other = registry.build(dict(config))
        except (TypeError, UserError):  # Of another version, or damaged: nothing to go by.
            return Differing()
    own, theirs = options_of(module), options_of(other)
    if own is None or theirs is None or own.keys() != theirs.keys():
        same = type(module) is type(other)
        return Differing('' if same else f'backbone={call_of(config)}')
    names = [name for name, value in theirs.items() if own[name] != value]
    silent, slight = ([name for name in names if name in kind] for kind in (_SILENT, _SLIGHT))
    if type(module) is not type(other):
        # Whose defaults are others.
        names, silent, slight = (
            ['type', *(name for name in some if name in config)] if some else []
            for some in (names, silent, slight)
        )
    return Differing(*(_assignments(config, some) for some in (names, silent, slight)))


def _is_harmless(value: Any) -> bool:
    """Whether a config that a file carries is plain data, whose types are all parts of backbones.

    mmengine's registries take a name that they do not know for one of Python's, import it and call
    it: built as it is, a file's config would execute what it likes.
    """
    if isinstance(value, Mapping):
        known = 'type' not in value or _is_part(value['type'])
        return known and '_scope_' not in value and all(map(_is_harmless, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_harmless, value))
    return value is None or isinstance(value, (str, int, float))


def _is_part(name: Any) -> bool:
    """Whether a name is registered, for what neither reads nor fetches anything."""
    registry = MODELS
    while registry is not None:
        if isinstance(name, str) and name in registry.module_dict:
            return registry.module_dict[name].__module__.startswith(_PARTS)
        registry = registry.parent
    return False


def options_of(backbone: nn.Module) -> dict[str, Any] | None:
    """What a backbone is, by the options that make it so; None where that is unknown.

    Args:
        backbone: A `TokenViT`, one that says it itself by a method `options`, or something else.
    """
    if hasattr(backbone, 'options'):
        return backbone.options()
    layer = next(iter(getattr(backbone, 'layers', ())), None)
    if not isinstance(layer, TokenBlock):
        return None
    attention, projection = layer.attn, layer.attn.qkv
    return dict(
        arch=[(p.embed_dims, p.num_heads, p.feedforward_channels) for p in backbone.plans],
        patch_size=backbone.patch_size,
        in_channels=backbone.in_channels,
        num_aux_tokens=backbone.num_aux_tokens,
        num_registers=backbone.aux_layout.get('reg_tokens', 0),
        stem=(type(backbone.patch_embed), _names(backbone.patch_embed)),
        **projection_options(projection),
        mlp=(type(layer.ffn), repr(layer.ffn.hidden), _names(layer.ffn)),
        layer_scale_init_value=isinstance(attention.gamma1, LayerScale),
        qk_norm=not isinstance(attention.q_norm, nn.Identity),
        pre_norm=not isinstance(backbone.pre_norm, nn.Identity),
        position=(backbone.pos_embed is not None, _rotation(attention.turn)),
        residual_scale=layer.residual_scale,
        norm_cfg=norm_option(layer.ln1),
        interpolate_mode=backbone.interpolate_mode,
    )


def _names(module: nn.Module) -> frozenset[str]:
    """Of its parameters, but for the scale that another option gives it."""
    return frozenset(name for name, _ in module.named_parameters() if not name.startswith('gamma'))


def projection_options(projection: nn.Module) -> dict[str, Any]:
    """What a q, k, v projection is, by the options of the backbone."""
    linear = getattr(projection, 'linear', projection)
    key, scope = (getattr(projection, name, None) for name in ('aux_key', 'scope'))
    return dict(
        projection=(type(projection), key, scope == 'grid'),
        qkv_bias=getattr(linear, 'bias', None) is not None,
    )


def norm_option(norm: nn.Module) -> tuple:
    """What a norm computes in evaluation, as a value to compare."""
    return _BatchNorm if isinstance(norm, _BatchNorm) else type(norm), getattr(norm, 'eps', None)


def _rotation(turn: nn.Module) -> tuple | None:
    if not isinstance(turn, RotaryPosition):
        return None
    return turn.base, turn.reference, turn.interleaved


def _assignments(config: Mapping[str, Any], names: Iterable[str]) -> str:
    return ', '.join(
        f'{name}={call_of(config[name])}' if name in config else f'the default {name}'
        for name in names
    )


def call_of(value: Any) -> str:
    """A value as it stands in a config."""
    if isinstance(value, Mapping):
        return f'dict({", ".join(f"{name}={call_of(inner)}" for name, inner in value.items())})'
    return repr(value)
