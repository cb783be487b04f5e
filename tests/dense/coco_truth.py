"""Annotations in COCO's format, made by hand."""

from collections.abc import Sequence

from pycocotools.coco import COCO

CLASSES = ('cup', 'jug', 'pot')
# Boxes as COCO has them: left, top, width, height.
LEFT, RIGHT = [0, 0, 10, 10], [50, 50, 10, 10]
# Of the height of LEFT three tenths, and so is the IoU.
LOW = [0, 0, 10, 3]


def content(
    images: Sequence[int], objects: Sequence[tuple], crowds: Sequence[tuple] = ()
) -> dict[str, list]:
    """What an annotation file holds.

    Args:
        images: Ids of the images, each 64 x 64.
        objects: Of each the image, the category from 1, and the box.
        crowds: The same of regions that are not annotated one by one.
    """
    annotations = [
        dict(
            id=number,
            image_id=image,
            category_id=category,
            bbox=box,
            area=box[2] * box[3],
            iscrowd=int(number > len(objects)),
            segmentation=[corners(box)],
        )
        for number, (image, category, box) in enumerate((*objects, *crowds), start=1)
    ]
    return dict(
        images=[dict(id=image, width=64, height=64, file_name='') for image in images],
        categories=[dict(id=number, name=name) for number, name in enumerate(CLASSES, start=1)],
        annotations=annotations,
    )


def truth(*args, **options) -> COCO:
    """The same, as pycocotools holds it."""
    coco = COCO()
    coco.dataset = content(*args, **options)
    coco.createIndex()
    return coco


def corners(box: Sequence[float]) -> list[float]:
    """The polygon of a box."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def predicted(image: int, category: int, score: float, box: Sequence[float]) -> dict:
    """A prediction in COCO's format."""
    return dict(image_id=image, category_id=category, score=score, bbox=list(box))
