"""Weights that mmengine would load without saying what they leave as it is."""

import re
from collections.abc import Iterator

from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import subtrees
from mmtoken.weights import is_pretrained


def loose_weights(content: dict, scope: str) -> Iterator[Problem]:
    """Find the weights of a whole model, neck or head, which may be part of them on purpose.

    Backbones are not looked at: ours are strict, and those of the libraries mean to drop a
    classifier's head.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        One warning for each.
    """
    for place, node in subtrees(('model',), content.get('model')):
        if not isinstance(node, dict) or not re.search(r'(^model|head|neck)(\.\d+)?$', place):
            continue
        inits = node.get('init_cfg') or ()
        inits = [inits] if isinstance(inits, dict) else inits
        keys = ['init_cfg'] if any(map(is_pretrained, inits)) else []
        # Of mmseg's and mmdet's models, `pretrained` is the backbone's.
        if place == 'model' and scope == 'mmpretrain' and node.get('pretrained'):
            keys.append('pretrained')
        for key in keys:
            yield Problem(
                f'{place}.{key} loads what fits and leaves the rest as it is, without a word; to '
                'be sure of all, set load_from to a checkpoint of the whole model, or '
                'model.backbone.init_cfg to one of the backbone',
                certain=False,
            )
