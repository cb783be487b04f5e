"""Necks and heads that do not fit the maps of the backbone before them."""

import traceback
from collections.abc import Iterator

from torch import nn

from mmtoken.config_check.parts import dict_at, find_parts
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.trial import build_bare, try_build
from mmtoken.dense import check_pyramids
from mmtoken.dense.pyramid_check import DETECTING, HEADS
from mmtoken.errors import UserError, reason_of


def neck_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find necks that cannot be built, and necks and heads of another width or stride than the
    backbone's maps.

    All are built on a device without memory.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    for part in find_parts(content, scope, 'model'):
        if not dict_at(part.node, 'backbone'):
            continue
        model, own, neck = nn.Module(), part.scopes[0], part.node.get('neck')
        necks = list(neck) if isinstance(neck, (list, tuple)) else [neck] if neck else []
        yield from _unbuildable(f'{part}.neck', necks, own)
        model.backbone = try_build(part.node['backbone'], own)
        if not hasattr(model.backbone, 'out_strides'):
            continue
        # That a detector has them is all that is asked of these.
        for name in DETECTING:
            if part.node.get(name):
                setattr(model, name, nn.Identity())
        model.bbox_head = try_build(part.node.get('bbox_head'), own)
        if necks:
            # One that cannot be built stays None, and what it makes for the heads is not known.
            model.neck = try_build(necks[0], own)
        else:
            for name in HEADS:
                setattr(model, name, try_build(part.node.get(name), own))
        try:
            check_pyramids(model)
        except UserError as error:
            yield Problem(f'{part}: {error}')


def _unbuildable(place: str, necks: list[dict], scope: str) -> Iterator[Problem]:
    """Necks that assert something of their arguments, most of them without a word."""
    for cfg in necks:
        try:
            build_bare(cfg, scope)
        except AssertionError as error:
            condition = traceback.extract_tb(error.__traceback__)[-1].line
            said = reason_of(error) or condition.removeprefix('assert ')
            name = getattr(cfg['type'], '__name__', cfg['type'])
            given = ', '.join(f'{key}={value!r}' for key, value in cfg.items() if key != 'type')
            yield Problem(
                f'{place}: {name} cannot be built with {given}, of which it asserts: {said}'
            )
        except Exception:  # Another problem, or it needs its owner.
            continue
