"""How well objects are found, whatever they are taken for."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Comes with mmdet, which is not there for everyone who imports this package.
    from pycocotools.coco import COCO


def part_of(truth: COCO, images: Sequence[int], categories: Sequence[int]) -> COCO:
    """The annotations of some images and categories; they are shared, not copied.

    Args:
        truth: The annotations.
        images: Ids of the images.
        categories: Ids of the categories.

    Returns:
        The part.
    """
    part = type(truth)()
    part.dataset = dict(
        images=truth.loadImgs(images),
        categories=truth.loadCats(categories),
        annotations=truth.loadAnns(truth.getAnnIds(imgIds=images, catIds=categories)),
    )
    with _quiet():
        part.createIndex()
    return part


def class_agnostic_ap(truth: COCO, predictions: Sequence[dict], iou_type: str) -> float:
    """COCO's AP over its ten IoUs where all classes are one.

    An object that is predicted as two classes counts as found twice: nothing suppresses the second.

    Args:
        truth: The annotations of the images that were predicted on.
        predictions: The predictions, in COCO's format.
        iou_type: 'bbox' or 'segm'.

    Returns:
        The AP, from 0 to 1; −1 where there is no object, as of pycocotools.
    """
    from pycocotools.cocoeval import COCOeval

    with _quiet():
        evaluation = COCOeval(truth, truth.loadRes(predictions), iou_type)
        params = evaluation.params
        params.useCats, params.maxDets = 0, [100]
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
        evaluation.evaluate()
        evaluation.accumulate()
    # Of one class, so that all of it is −1 where there is no object.
    return float(evaluation.eval['precision'].mean())


def _quiet() -> contextlib.AbstractContextManager:
    """Keep what pycocotools prints about its progress from the terminal."""
    return contextlib.redirect_stdout(io.StringIO())
