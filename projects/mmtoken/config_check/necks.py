"""Necks and heads that do not fit the maps of the backbone before them."""

from collections.abc import Iterator

from torch import nn

from mmtoken.config_check.parts import dict_at, find_parts
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.trial import try_build
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
        model.backbone = try_build(part.node['backbone'], own)
        if not hasattr(model.backbone, 'out_strides'):
            continue
        # A neck that cannot be built stays None, and what it makes for the heads is not known.
        read = ('neck',) if part.node.get('neck') else HEADS
        for name in read:
            setattr(model, name, try_build(part.node.get(name), own))
        if 'neck' in read and model.neck is None:
            continue
        try:
            check_pyramids(model)
        except UserError as error:
            yield Problem(f'{part}: {error}')
