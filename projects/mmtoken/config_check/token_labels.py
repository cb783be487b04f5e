"""Label maps that are not of the head's classes, or would not go where the image goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmtoken.config_check.parts import dict_at, find_parts, text_at, type_name
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.walk import Place
from mmtoken.datasets.track_affine import moves_places


def token_label_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find pipelines whose label maps are of other classes than the head's, and transforms that
    move pixels outside `TrackAffine`, so that maps stay behind without a word.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    parts, model = list(find_parts(content, scope, 'train_dataloader')), dict_at(content, 'model')
    for part in parts:
        if type_name(part) == 'LoadTokenLabels' and part.path[-1].isdigit():
            yield from _of_classes(str(part), part.node.get('num_classes'), model)
            beside = [other for other in parts if _below(other, part.path[:-1])]
            yield from _of_order(beside, int(part.path[-1]), len(part.path) - 1)


def _of_classes(place: str, count: Any, model: dict) -> Iterator[Problem]:
    head = dict_at(model, 'head')
    name = text_at(model, 'type').rpartition('.')[2]
    foreground = text_at(dict_at(model, 'foreground'), 'type').rpartition('.')[2]
    classes = head.get('num_classes')
    supplied = name == 'CalibratedClassifier' and foreground == 'SuppliedForeground'
    if supplied and isinstance(count, int) and isinstance(classes, int) and count <= classes:
        yield Problem(
            f'{place}.num_classes is {count}, and model.head.num_classes {classes}; label maps '
            'that say where the foreground is have the classes of the head and the background, '
            f'{classes + 1}'
        )
    unread = model.get('token_labels') == 'image' or (
        model.get('class_target') == 'label' and head.get('dense_weight') == 0
    )
    if name != 'TokenLabelClassifier' or unread:
        return
    key = 'num_classes' if head.get('num_token_classes') is None else 'num_token_classes'
    patches = head.get(key)
    if isinstance(count, int) and isinstance(patches, int) and count != patches:
        yield Problem(
            f'{place}.num_classes is {count}, and model.head.{key}, the classes of patches, is '
            f'{patches}; set both to the classes of the label maps, which those of masks have one '
            'more of than images, the background'
        )


def _of_order(pipeline: list[Place], loader: int, depth: int) -> Iterator[Problem]:
    """What stands around the transform that loads maps, the one of number `loader`."""
    tracks = [part for part in pipeline if type_name(part) == 'TrackAffine']
    for part in pipeline:
        if part in tracks and int(part.path[depth]) < loader:
            yield Problem(
                f'{part} (TrackAffine) stands before LoadTokenLabels, so that label maps do not go '
                'where the image goes; put it after'
            )
        elif _moves(part) and not any(_below(part, t.path) for t in tracks):
            yield Problem(
                f'{part} ({type_name(part)}) moves the image and not its label map; put it into '
                'the transforms of TrackAffine, after LoadTokenLabels'
            )


def _moves(part: Place) -> bool:
    """Whether a transform moves pixels; of policies that are written out, each says it itself."""
    policies = part.node.get('policies')
    written_out = isinstance(policies, (list, tuple))
    return moves_places(type_name(part)) and not written_out


def _below(part: Place, path: tuple[str, ...]) -> bool:
    return part.path[: len(path)] == path
