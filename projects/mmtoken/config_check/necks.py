"""Necks and heads that do not fit the maps of the backbone before them."""

import copy
from collections.abc import Iterator

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtoken.config_check.parts import dict_at, find_parts
from mmtoken.config_check.problem import Problem
from mmtoken.dense import check_pyramids
from mmtoken.errors import UserError

_PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head', 'head')


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
        model = nn.Module()
        try:
            with torch.device('meta'), DefaultScope.overwrite_default_scope(part.scopes[0]):
                for name in _PARTS:
                    if part.node.get(name):
                        setattr(model, name, MODELS.build(copy.deepcopy(part.node[name])))
                    if not hasattr(model.backbone, 'out_strides'):  # It does not say what it makes.
                        break
        except Exception:  # What refuses to be built is another problem, or needs its owner.
            continue
        try:
            check_pyramids(model)
        except UserError as error:
            yield Problem(f'{part}: {error}')
