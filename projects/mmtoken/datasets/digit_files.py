"""The files of digit scenes: ImageNet-style folders, a COCO set and an ADE20K-style set.

classification/{train,val}/<digit>/<index>.png    meta/{train,val}.txt, lines `name label`
detection/{train,val}/<index>.png                 annotations/instances_{train,val}.json
segmentation/{images,annotations}/{training,validation}/<index>.png
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from mmtoken.datasets.digit_scenes import SceneOptions, render_scene
from mmtoken.datasets.digit_sources import SPLITS

DIGITS = tuple('0123456789')
ADE_SPLITS = {'train': 'training', 'val': 'validation'}
PALETTE = (
    (0, 0, 0),
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (0, 128, 128),
)
"""Colors of background, '0', …, '9' in the segmentation maps."""


def make_folders(root: Path) -> None:
    """Make every folder of a data set.

    Args:
        root: Folder of the data set.
    """
    for split in SPLITS:
        for digit in DIGITS:
            (root / 'classification' / split / digit).mkdir(parents=True)
        (root / 'detection' / split).mkdir(parents=True)
        for kind in ('images', 'annotations'):
            (root / 'segmentation' / kind / ADE_SPLITS[split]).mkdir(parents=True)
    (root / 'classification' / 'meta').mkdir()
    (root / 'detection' / 'annotations').mkdir()


def write_singles(root: Path, options: SceneOptions, split: str, indices: range) -> None:
    """Draw classification images; the classes take turns, so that any first n are balanced.

    Args:
        root: Folder of the data set.
        options: What the images have in common.
        split: 'train' or 'val'.
        indices: Which images.
    """
    for index in indices:
        scene = render_scene(options, 'classification', split, index, label=index % 10)
        path = root / 'classification' / split / _single_name(index)
        Image.fromarray(scene.image).save(path, compress_level=1)


def write_single_list(root: Path, split: str, count: int) -> None:
    """List the classification images, in the order in which their classes take turns.

    Args:
        root: Folder of the data set.
        split: 'train' or 'val'.
        count: Number of images.
    """
    lines = [f'{_single_name(index)} {index % 10}\n' for index in range(count)]
    (root / 'classification' / 'meta' / f'{split}.txt').write_text(''.join(lines))


def write_scenes(root: Path, options: SceneOptions, split: str, indices: range) -> list[list[dict]]:
    """Draw scenes for detection and segmentation.

    Args:
        root: Folder of the data set.
        options: What the scenes have in common.
        split: 'train' or 'val'.
        indices: Which scenes.

    Returns:
        list: Of each scene the COCO annotations of its digits, without ids.
    """
    annotations = []
    for index in indices:
        scene = render_scene(options, 'detection', split, index)
        name = f'{index:06d}.png'
        image = root / 'detection' / split / name
        Image.fromarray(scene.image).save(image, compress_level=1)  # noise packs badly
        _link(image, root / 'segmentation' / 'images' / ADE_SPLITS[split] / name)
        classes = Image.fromarray(scene.semantic)
        classes.putpalette([value for color in PALETTE for value in color])
        classes.save(root / 'segmentation' / 'annotations' / ADE_SPLITS[split] / name)
        annotations.append(
            [
                {
                    'category_id': 1 + instance.label,
                    'bbox': list(instance.box),
                    'area': int(instance.mask.sum()),
                    'iscrowd': 0,
                    'segmentation': _encode(instance.mask),
                    'digit_id': instance.digit_id,
                }
                for instance in scene.instances
            ]
        )
    return annotations


def write_coco(root: Path, split: str, size: int, annotations: list[list[dict]]) -> None:
    """Write the COCO file of a split.

    Args:
        root: Folder of the data set.
        split: 'train' or 'val'.
        size: Height and width of the scenes in pixels.
        annotations: What `write_scenes` returned, of all scenes.
    """
    images, instances = [], []
    # Ids start at 1: pycocotools reads an annotation id of 0 as "matched to nothing".
    for image_id, scene in enumerate(annotations, start=1):
        name = f'{image_id - 1:06d}.png'
        images.append({'id': image_id, 'file_name': name, 'height': size, 'width': size})
        for annotation in scene:
            instances.append({'id': len(instances) + 1, 'image_id': image_id, **annotation})
    coco = {
        'info': {'description': f'digit scenes, {split}'},
        'licenses': [],
        'images': images,
        'annotations': instances,
        'categories': [
            {'id': 1 + label, 'name': name, 'supercategory': 'digit'}
            for label, name in enumerate(DIGITS)
        ],
    }
    path = root / 'detection' / 'annotations' / f'instances_{split}.json'
    path.write_text(json.dumps(coco))


def _single_name(index: int) -> str:
    return f'{index % 10}/{index:06d}.png'


def _encode(mask: np.ndarray) -> dict:
    """COCO's compressed run lengths of a (S, S) bool mask."""
    from pycocotools import mask as coco_mask

    runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': [int(side) for side in runs['size']], 'counts': runs['counts'].decode('ascii')}


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
