"""Necks and heads that do not fit the maps of the backbone before them."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtoken.config_check.parts import dict_at, find_parts
from mmtoken.config_check.problem import Problem
from mmtoken.dense import check_pyramids
from mmtoken.dense.pyramid_check import HEADS
from mmtoken.errors import UserError


def neck_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find necks and heads of another width or stride than the backbone's maps.

    Both are built on a device without memory, and not run.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    for part in find_parts(content, scope, 'model'):
        if not dict_at(part.node, 'backbone'):
            continue
        model, own = nn.Module(), part.scopes[0]
        model.backbone = _build(part.node['backbone'], own)
        if not hasattr(model.backbone, 'out_strides'):
            continue
        # A neck that cannot be built stays None, and what it makes for the heads is not known.
        read = ('neck',) if part.node.get('neck') else HEADS
        for name in read:
            setattr(model, name, _build(part.node.get(name), own))
        if 'neck' in read and model.neck is None:
            continue
        try:
            check_pyramids(model)
        except UserError as error:
            yield Problem(f'{part}: {error}')


def _build(cfg: Any, scope: str) -> nn.Module | None:
    """A part without memory; None where there is none, or where it cannot be built, which is
    another problem, or needs its owner.
    """
    if not cfg:
        return None
    try:
        with torch.device('meta'), DefaultScope.overwrite_default_scope(scope):
            if isinstance(cfg, (list, tuple)):
                return nn.ModuleList(MODELS.build(copy.deepcopy(one)) for one in cfg)
            return MODELS.build(copy.deepcopy(cfg))
    except Exception:
        return None
