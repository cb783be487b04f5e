"""Heads whose number of classes is not that of the data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmtoken.config_check.annotations import class_folders, named_classes
from mmtoken.config_check.parts import LOADERS, default_of, dict_at, find_parts, type_name
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.types import Scopes
from mmtoken.config_check.walk import Place, place_at

# Heads with labels of their own: whether anything is there, a map of stuff, a map of edges.
_OTHER_LABELS = {'rpn_head', 'semantic_head', 'STDCHead'}


@dataclass(frozen=True)
class Labels:
    """The labels of a dataset.

    Args:
        place: Its dotted key.
        name: Its type.
        count: Its classes.
        named: Whether the config itself names them.
        things: Those of them that are things, in panoptic data; else 0.
        zero_ignored: Whether the label 0 is taken out, which may or may not be one of the classes.
    """

    place: str
    name: str
    count: int
    named: bool
    things: int
    zero_ignored: bool

    def fit(self, count: int) -> bool:
        """Whether a head may have this number of classes."""
        return count in (self.count, self.things, self.count - self.zero_ignored)


def class_count_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find heads whose number of classes is not that of the data.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults. A head larger than the dataset's default number of classes trains, and where
        other data of the config fits the head the fault may be the data's: neither is certain.
    """
    training, *others = (list(_labels(content, name, scope)) for name in LOADERS)
    # Several datasets in one may differ on purpose.
    labels = training[0] if len({found.count for found in training}) == 1 else None
    others = [found for loader in others for found in loader]
    heads = dict(_heads(content, scope)) if labels else {}
    for place, count in heads.items():
        # What has another type may be what a tracker or a zero-shot model is tested on.
        unfit = [other for other in others if other.name == labels.name and not other.fit(count)]
        if not labels.fit(count):
            wrong = labels.named or count < labels.count
            certain = wrong and not any(other.fit(count) for other in others)
            yield _mismatch(place, count, labels, certain)
        elif unfit:
            yield _mismatch(place, count, unfit[0], certain=False)
    yield from _of_mixed_labels(content, heads.get('model.head.num_classes'))


def topk_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find top-k accuracies of more classes than there are, which fail at the first validation.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    count = dict_at(content, 'model', 'head').get('num_classes')
    for part in find_parts(content, scope, 'val_evaluator', 'test_evaluator'):
        if type_name(part) != 'Accuracy' or not isinstance(count, int):
            continue
        topk = part.node.get('topk', 1)
        for k in topk if isinstance(topk, (list, tuple)) else [topk]:
            if isinstance(k, int) and k > count:
                yield Problem(
                    f'{part}.topk has {k}, and model.head.num_classes is {count}; use topk=(1,), '
                    f'or numbers up to {count}'
                )


def _mismatch(place: str, count: int, labels: Labels, certain: bool) -> Problem:
    return Problem(
        f'{place} is {count}, and {labels.place} ({labels.name}) has {labels.count} classes; set '
        f'{place}={labels.count}, or name your own classes in {labels.place}.metainfo',
        certain,
    )


def _of_mixed_labels(content: dict, count: int | None) -> Iterator[Problem]:
    """Labels that mmpretrain writes as vectors of another length than the head's."""
    for path in (('data_preprocessor',), ('model', 'data_preprocessor')):
        place, node = '.'.join(path), dict_at(content, *path)
        given = node.get('num_classes')
        if None not in (given, count) and given != count:
            # Whatever stands in it, mmpretrain then writes labels as vectors.
            augments = dict_at(content, 'model', 'train_cfg')
            yield Problem(
                f'{place}.num_classes is {given}, and model.head.num_classes is {count}; set both '
                'to the number of classes of the data',
                certain=bool(augments or node.get('batch_augments') or node.get('to_onehot')),
            )


def _heads(content: dict, scope: str) -> Iterator[tuple[str, int]]:
    """The dotted keys of the heads' numbers of classes, and these numbers."""
    by_text: list[tuple[str, ...]] = []
    for part in find_parts(content, scope, 'model'):
        if 'language_model' in part.node:
            by_text.append(part.path)
        key = next(key for key in reversed(part.path) if not key.isdigit())
        if not key.endswith('head') or {key, type_name(part)} & _OTHER_LABELS:
            continue
        # Of what matches words, the number is that of a sentence's tokens.
        if any(part.path[: len(path)] == path for path in by_text):
            continue
        names = ['num_classes']
        if 'num_things_classes' in part.node:
            names = ['num_things_classes', 'num_stuff_classes']
        counts = [part.node.get(name, default_of(part.targets[0], name)) for name in names]
        if all(isinstance(count, int) for count in counts):
            yield ' + '.join(f'{part}.{name}' for name in names), sum(counts)


def _labels(content: dict, loader: str, scope: str) -> Iterator[Labels]:
    """The labels of a loader's dataset, or of all that it wraps; none where they are unknown."""
    yield from _labels_of((loader, 'dataset'), dict_at(content, loader, 'dataset'), (scope,))


def _labels_of(path: tuple[str, ...], node: Any, scopes: Scopes) -> Iterator[Labels]:
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _labels_of((*path, str(index)), child, scopes)
    elif isinstance(node, dict):
        place = place_at(path, node, scopes)
        for key in ('dataset', 'datasets'):
            yield from _labels_of((*path, key), node.get(key), place.scopes)
        if place.targets and hasattr(place.targets[0], 'METAINFO'):
            yield from _labels_at(place)


def _labels_at(place: Place) -> Iterator[Labels]:
    names = named_classes(place) or class_folders(place)
    if names:
        node, metainfo = place.node, dict_at(place.node, 'metainfo')
        named = node.get('classes') is not None or 'classes' in metainfo
        things = (place.targets[0].METAINFO | metainfo).get('thing_classes', ())
        zero = bool(node.get('reduce_zero_label'))
        yield Labels(str(place), type_name(place), len(names), named, len(things), zero)
