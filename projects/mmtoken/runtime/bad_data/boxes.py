"""Annotations of objects that mmdet leaves out without a word, seen while it reads its file.

Here and not before a run, since COCO's own file takes half a minute and gigabytes to read twice.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real
from typing import Any

from mmtoken.config_check.types import registries
from mmtoken.errors import UserError, named_reason
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
    load, parse = CocoDataset.load_data_list, CocoDataset.parse_data_info

    def load_data_list(dataset: Any) -> list[dict]:
        try:
            return load(dataset)
        except (OSError, MemoryError, UserError):
            raise
        except Exception as error:  # What is no such file breaks whatever comes first.
            raise UserError(
                f"{dataset.ann_file} cannot be read as annotations in COCO's format "
                f'({named_reason(error)}); it may be truncated or lack a key'
            ) from error

    def parse_data_info(dataset: Any, raw_data_info: dict) -> Any:
        image, listed = raw_data_info['raw_img_info'], raw_data_info['raw_ann_info']
        if id(dataset) not in found:
            lost = list(_without_image(_index_of(dataset)))
            found[id(dataset)] = Annotations(dataset.ann_file, len(lost), lost)
            read.append(found[id(dataset)])
        _check_image(dataset.ann_file, image)
        annotations = found[id(dataset)]
        annotations.count += len(listed)
        annotations.bad += _bad(listed, image, _index_of(dataset).cats)
        readable = [a for a in listed if a.get('ignore') or _fault_of_form(a) is None]
        return parse(dataset, {**raw_data_info, 'raw_ann_info': readable})

    CocoDataset.load_data_list, CocoDataset.parse_data_info = load_data_list, parse_data_info
    try:
        yield read
    finally:
        CocoDataset.load_data_list, CocoDataset.parse_data_info = load, parse


def _check_image(file: str, image: dict) -> None:
    """Refuse an image that mmdet cannot take in at all."""
    for key, kind in {'file_name': str, 'width': Real, 'height': Real}.items():
        if not isinstance(image.get(key), kind):
            raise UserError(
                f'{file}: the image {image.get("file_name")} (id {image.get("id")}) has the {key} '
                f'{image.get(key)!r}, which is no {"text" if kind is str else "number"}; correct '
                'the file'
            )


def _index_of(dataset: Any) -> Any:
    """What the file holds; LVIS's data sets have it by another name."""
    return dataset.coco if hasattr(dataset, 'coco') else dataset.lvis


def _without_image(coco: Any) -> Iterator[tuple[str, Fault]]:
    """Annotations of images that the file does not have."""
    for image, annotations in coco.img_ann_map.items():
        if image not in coco.imgs:
            fault = Fault('unknown image', 'is of none of the images of the file')
            for annotation in annotations:
                yield f'annotation {annotation.get("id")} of image id {image}', fault


def _bad(annotations: list[dict], image: dict, categories: Any) -> Iterator[tuple[str, Fault]]:
    """The bad annotations of an image."""
    for annotation in annotations:
        fault = fault_of_annotation(annotation, image, categories)
        if fault is not None:
            where = f'annotation {annotation.get("id")} of image {image["file_name"]}'
            yield f'{where} (id {image.get("id")})', fault


def fault_of_annotation(annotation: dict, image: dict, categories: Any) -> Fault | None:
    """What is wrong with an annotation, so that mmdet leaves it or its mask out, or breaks off.

    Args:
        annotation: A dict of COCO's `annotations`.
        image: Its dict of `images`.
        categories: The ids of `categories`, all of the file: what a config does not train on is no
            fault.

    Returns:
        The fault; None where there is none, or the annotation is to be ignored.
    """
    if annotation.get('ignore'):
        return None
    malformed = _fault_of_form(annotation)
    if malformed is not None:
        return malformed
    if annotation.get('category_id') not in categories:
        return Fault(
            'unknown category', f'has the category {annotation.get("category_id")}, which is none'
        )
    left, top, width, height = box = annotation['bbox']
    if not all(map(isfinite, box)):
        return Fault('box not finite', f'has the box {box}')
    if width <= 0 or height <= 0 or annotation['area'] <= 0:
        text = f'has a box of {width} x {height} and the area {annotation["area"]}'
        return Fault('box without area', text)
    inside = left < image['width'] and top < image['height']
    if not inside or left + width <= 0 or top + height <= 0:
        text = f'has the box {box}, outside of {image["width"]} x {image["height"]} pixels'
        return Fault('box outside of its image', text)
    if width < 1 or height < 1:
        return Fault('box below a pixel', f'has a box of {width} x {height}, below 1 pixel')
    return _fault_of_mask(annotation.get('segmentation'), image)


def _fault_of_form(annotation: dict) -> Fault | None:
    """What mmdet cannot compute with."""
    box = annotation.get('bbox')
    if (
        not isinstance(box, (list, tuple))
        or len(box) != 4
        or not all(isinstance(number, Real) for number in box)
    ):
        return Fault('box of no 4 numbers', f'has the box {box}, which are not 4 numbers')
    if not isinstance(annotation.get('area'), Real):
        text = f'has the area {annotation.get("area")!r}, which is no number'
        return Fault('area that is no number', text)
    return None


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
