"""Build the parts of the backbone that a config may choose."""

import inspect
from collections.abc import Callable, Mapping

from mmpretrain.models.utils import LayerNorm2d, build_norm_layer
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmtoken.checks import check_number
from mmtoken.errors import UserError, near_miss

NORM = dict(type='LN', eps=1e-6)
PROJECTION = dict(type='LinearProjection')
STEM = dict(type='PatchStem')
_MAP_NORMS = (_NormBase, nn.GroupNorm, LayerNorm2d)


def complete(cfg: dict | None, default: dict) -> dict:
    """A part's config: one that names no type changes the default's arguments and keeps the rest.

    Args:
        cfg: What the user gave; None for the default itself.
        default: Has a type.

    Returns:
        A config with a type.

    Raises:
        UserError: If it is no dict.
    """
    cfg = {} if cfg is None else cfg
    if not isinstance(cfg, Mapping):
        raise UserError(f'{cfg!r} is not the config of a part; use a dict, such as {default}')
    return dict(cfg) if 'type' in cfg else {**default, **cfg}


def build_part(name: str, cfg: dict | None, default: dict, **arguments) -> nn.Module:
    """Build a part by its name in mmpretrain's registry, also inside a detector or segmentor.

    There the default scope is mmdet or mmseg, which would look the name up in the wrong registry.

    Args:
        name: What its config is called, for the error.
        cfg: Its config, as `complete` takes it.
        default: Its default.
        **arguments: What the backbone adds to it.

    Returns:
        The part.

    Raises:
        UserError: If the config has what the backbone adds, or what the part does not take, or its
            type is unknown.
    """
    cfg = complete(cfg, default)
    given = sorted(arguments.keys() & cfg.keys())
    if given:
        raise UserError(
            f'{name} has {", ".join(given)}, which the backbone sets itself; leave it out'
        )
    check_keys(name, require_part(name, cfg), cfg)
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        return registry.build(dict(cfg, **arguments))


def build_projection(
    cfg: dict | None, embed_dims: int, bias: bool, values_only: bool = False
) -> nn.Module:
    """Build what makes queries, keys and values of tokens.

    Args:
        cfg: Its config, as `complete` takes it.
        embed_dims: C.
        bias: Whether it has a bias.
        values_only: Whether it makes values alone, for a layer that shares another's map.

    Raises:
        UserError: As of `build_part`, or if it cannot make values alone.
    """
    cfg, given = complete(cfg, PROJECTION), dict(embed_dims=embed_dims, bias=bias)
    kind = find_part(cfg)
    if kind is not None and 'values_only' in inspect.signature(kind).parameters:
        given['values_only'] = values_only
    elif values_only and kind is not None:
        raise UserError(
            f'projection of type {kind.__name__} cannot make values alone, which a layer asks that '
            'shares an attention map; give it an argument values_only, or let no layer share'
        )
    return build_part('projection', cfg, PROJECTION, **given)


def find_part(cfg: dict) -> Callable | None:
    """The class that a part's config names, None where it is not registered."""
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        return registry.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']


def require_part(name: str, cfg: dict) -> Callable:
    """The class that a part's config names.

    Args:
        name: What its config is called, for the error.
        cfg: Its config.

    Raises:
        UserError: If it is not registered.
    """
    kind = find_part(cfg)
    if not callable(kind):
        registry, known = MODELS, []
        while registry is not None:
            known += registry.module_dict
            registry = registry.parent
        raise UserError(
            f'{name} has type {cfg["type"]!r}, which is not registered'
            f'{near_miss(str(cfg["type"]), known)}; correct it, or import what registers it '
            '(custom_imports)'
        )
    return kind


def check_keys(name: str, kind: Callable, cfg: dict) -> None:
    """Refuse a key that a part does not take; a config without a type does not say whose it is.

    Args:
        name: What its config is called, for the error.
        kind: Its class.
        cfg: Its config.

    Raises:
        UserError: If it does not take one of the keys.
    """
    taken = inspect.signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    for key in cfg.keys() - taken.keys() - {'type', '_scope_'}:
        remedy = near_miss(key, taken) or f'; it takes {", ".join(taken)}'
        raise UserError(f'{name} of type {kind.__name__} does not take {key!r}{remedy}')


def build_norm(cfg: dict | None, channels: int, default: dict = NORM) -> nn.Module:
    """Build a norm over channels; the config as `complete` takes it.

    Raises:
        UserError: If its type is unknown, or does not take one of the keys.
    """
    cfg = complete(cfg, default)
    _norm_class('the norm', cfg)
    return build_norm_layer(cfg, channels)


def _norm_class(name: str, cfg: dict) -> Callable:
    """The class of a norm, of a config that it takes."""
    kind = require_part(name, cfg)
    # `requires_grad` is the builder's.
    check_keys(name, kind, {key: value for key, value in cfg.items() if key != 'requires_grad'})
    if 'eps' in cfg:
        check_number(f'eps of {name}', cfg['eps'], above=0, example=1e-6)
    return kind


def check_token_norm(name: str, cfg: dict, batch: bool = False) -> None:
    """Refuse a norm of maps, (B, C, H, W), where tokens, (B, N, C), are normed.

    Args:
        name: What its config is called, for the error.
        cfg: Its config, with a type.
        batch: Whether a batch norm of maps will do.

    Raises:
        UserError: If it is one, or its type is unknown, or does not take one of the keys.
    """
    kind = _norm_class(name, cfg)
    if not isinstance(kind, type) or not issubclass(kind, _MAP_NORMS):
        return
    if not (batch and issubclass(kind, (nn.BatchNorm2d, nn.SyncBatchNorm))):
        raise UserError(
            f'{name} of type {cfg["type"]!r} norms maps, and here are tokens to norm; use a layer '
            'norm, such as LN'
        )
