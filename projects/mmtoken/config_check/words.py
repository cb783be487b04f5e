"""Words that a library's own class has no meaning for, and finds only at the first validation."""

from collections.abc import Iterator
from typing import Any

from mmtoken.config_check.parts import dict_at, find_parts, type_name
from mmtoken.config_check.problem import Problem

_METRICS = ('mIoU', 'mDice', 'mFscore')
_MODES = ('whole', 'slide', 'slide_flip')


def word_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find what mmseg's segmentors and its metric have no name for.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    for part in find_parts(content, scope, 'model'):
        if part.targets[0].__module__.startswith('mmseg.models.segmentors'):
            mode = dict_at(part.node, 'test_cfg').get('mode')
            yield from _unknown(f'{part}.test_cfg.mode', mode, _MODES)
    for part in find_parts(content, scope, 'val_evaluator', 'test_evaluator'):
        if type_name(part) == 'IoUMetric':
            yield from _unknown(f'{part}.iou_metrics', part.node.get('iou_metrics'), _METRICS)


def _unknown(place: str, value: Any, known: tuple[str, ...]) -> Iterator[Problem]:
    for word in value if isinstance(value, (list, tuple)) else [value]:
        if word is not None and word not in known:
            yield Problem(f'{place} {word!r} is none of {", ".join(known)}; use one of these')
