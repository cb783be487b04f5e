"""Annotations of objects that mmdet leaves out without a word, seen while it reads its file.

Here and not before a run, since COCO's own file takes half a minute and gigabytes to read twice.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from mmtoken.config_check.types import registries
from mmtoken.runtime.bad_data.files import Fault


@dataclass
class Annotations:
    """The annotations of a file.

    Args:
        file: Its path.
        count: How many it has.
        bad: Those that are bad, by their ids and images.
    """

    file: str
    count: int = 0
    bad: list[tuple[str, Fault]] = field(default_factory=list)


@contextmanager
def watched_annotations(scope: str) -> Iterator[list[Annotations]]:
    """Look at annotations in COCO's format while data sets are built.

    Args:
        scope: The default scope of the run.

    Yields:
        A list that grows by each file of annotations that is read.
    """
    found: dict[int, Annotations] = {}
    read: list[Annotations] = []
    if scope == 'mmdet':
        registries(scope)  # imports the library, whose noise is kept out
    if 'mmdet.datasets' not in sys.modules:
        yield read
        return
    CocoDataset = sys.modules['mmdet.datasets'].CocoDataset
    original = CocoDataset.parse_data_info

    def parse_data_info(dataset: Any, raw_data_info: dict) -> Any:
        if id(dataset) not in found:
            found[id(dataset)] = Annotations(dataset.ann_file)
            read.append(found[id(dataset)])
        annotations = found[id(dataset)]
        annotations.count += len(raw_data_info['raw_ann_info'])
        annotations.bad += _bad(dataset, raw_data_info)
        return original(dataset, raw_data_info)

    CocoDataset.parse_data_info = parse_data_info
    try:
        yield read
    finally:
        CocoDataset.parse_data_info = original


def _bad(dataset: Any, raw: dict) -> Iterator[tuple[str, Fault]]:
    """The bad annotations of an image."""
    image = raw['raw_img_info']
    for annotation in raw['raw_ann_info']:
        fault = fault_of_annotation(annotation, image, dataset.coco.cats)
        if fault is not None:
            where = f'annotation {annotation.get("id")} of image {image.get("file_name")}'
            yield f'{where} (id {image.get("id")})', fault


def fault_of_annotation(annotation: dict, image: dict, categories: Any) -> Fault | None:
    """What is wrong with an annotation, so that mmdet leaves it or its mask out.

    Args:
        annotation: A dict of COCO's `annotations`.
        image: Its dict of `images`.
        categories: The ids of `categories`, all of the file: what a config does not train on is no
            fault.

    Returns:
        The fault; None where there is none, or the annotation is to be ignored.
    """
    if annotation.get('ignore') or 'bbox' not in annotation:
        return None
    if annotation.get('category_id') not in categories:
        return Fault(
            'unknown category', f'has the category {annotation.get("category_id")}, which is none'
        )
    left, top, width, height = box = annotation['bbox']
    if not all(map(isfinite, box)):
        return Fault('box not finite', f'has the box {box}')
    if width <= 0 or height <= 0 or annotation.get('area', 1) <= 0:
        text = f'has a box of {width} x {height} and the area {annotation.get("area")}'
        return Fault('box without area', text)
    inside = left < image['width'] and top < image['height']
    if not inside or left + width <= 0 or top + height <= 0:
        text = f'has the box {box}, outside of {image["width"]} x {image["height"]} pixels'
        return Fault('box outside of its image', text)
    if width < 1 or height < 1:
        return Fault('box below a pixel', f'has a box of {width} x {height}, below 1 pixel')
    return _fault_of_mask(annotation.get('segmentation'), image)


def _fault_of_mask(mask: Any, image: dict) -> Fault | None:
    if isinstance(mask, list):
        for polygon in mask:
            if len(polygon) < 6 or len(polygon) % 2:
                text = f'has a polygon of {len(polygon)} numbers, which are not 3 points or more'
                return Fault('polygon of too few points', text)
    elif isinstance(mask, dict):
        size = list(mask.get('size') or ())
        if size != [image['height'], image['width']]:
            text = f'has a mask of {size}, and its image is {[image["height"], image["width"]]}'
            return Fault('mask not as large as its image', text)
    return None
