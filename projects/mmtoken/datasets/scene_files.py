"""The files of digit and glyph scenes: ImageNet-style folders, a COCO set and an ADE20K-style set.

classification/{train,val}/<class>/<index>.png    meta/{train,val}.txt, lines `name label`
classification/masks/{train,val}/<class>/<index>.png    class maps, 0 the background
detection/{train,val}/<index>.png                 annotations/instances_{train,val}.json
segmentation/{images,annotations}/{training,validation}/<index>.png
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmtoken.datasets.data_options import SceneDataOptions
from mmtoken.datasets.palette import scene_palette
from mmtoken.datasets.scene_options import SceneOptions
from mmtoken.datasets.scenes import Scene, render_scene
from mmtoken.datasets.source import SPLITS

ADE_SPLITS = {'train': 'training', 'val': 'validation'}


def make_folders(root: Path, classes: Sequence[str]) -> None:
    """Make every folder of a data set.

    Args:
        root: Folder of the data set.
        classes: Names of the classes.
    """
    for split in SPLITS:
        for name in classes:
            for folder in (split, f'masks/{split}'):
                (root / 'classification' / folder / name).mkdir(parents=True)
        (root / 'detection' / split).mkdir(parents=True)
        for kind in ('images', 'annotations'):
            (root / 'segmentation' / kind / ADE_SPLITS[split]).mkdir(parents=True)
    (root / 'classification' / 'meta').mkdir()
    (root / 'detection' / 'annotations').mkdir()


def write_singles(
    root: Path, options: SceneOptions, split: str, indices: range, labels: Sequence[int]
) -> None:
    """Draw classification images and their class maps.

    Args:
        root: Folder of the data set.
        options: What the images have in common.
        split: 'train' or 'val'.
        indices: Which images.
        labels: Their classes.
    """
    folder = root / 'classification'
    for index, label in zip(indices, labels, strict=True):
        scene = render_scene(options, 'classification', split, index, label)
        name = _single_name(options.source.classes[label], index)
        Image.fromarray(scene.image).save(folder / split / name, compress_level=1)
        _class_map(scene, options).save(folder / 'masks' / split / name)


def write_single_list(
    root: Path, classes: Sequence[str], split: str, labels: Sequence[int]
) -> None:
    """List the classification images, in the order in which their classes take turns.

    Args:
        root: Folder of the data set.
        classes: Names of the classes.
        split: 'train' or 'val'.
        labels: Classes of all images.
    """
    lines = [f'{_single_name(classes[k], index)} {k}\n' for index, k in enumerate(labels)]
    (root / 'classification' / 'meta' / f'{split}.txt').write_text(''.join(lines))


def write_scenes(root: Path, options: SceneOptions, split: str, indices: range) -> list[list[dict]]:
    """Draw scenes for detection and segmentation.

    Args:
        root: Folder of the data set.
        options: What the scenes have in common.
        split: 'train' or 'val'.
        indices: Which scenes.

    Returns:
        list: Of each scene the COCO annotations of its objects, without ids.
    """
    annotations = []
    for index in indices:
        scene = render_scene(options, 'detection', split, index)
        name = f'{index:06d}.png'
        image = root / 'detection' / split / name
        Image.fromarray(scene.image).save(image, compress_level=1)  # noise packs badly
        _link(image, root / 'segmentation' / 'images' / ADE_SPLITS[split] / name)
        folder = root / 'segmentation' / 'annotations' / ADE_SPLITS[split]
        _class_map(scene, options).save(folder / name)
        annotations.append(
            [
                {
                    'category_id': 1 + instance.label,
                    'bbox': list(instance.box),
                    'area': int(instance.mask.sum()),
                    'iscrowd': 0,
                    'segmentation': _encode(instance.mask),
                    f'{options.source.noun}_id': instance.source_id,
                }
                for instance in scene.instances
            ]
        )
    return annotations


def write_coco(
    root: Path, options: SceneDataOptions, split: str, annotations: list[list[dict]]
) -> None:
    """Write the COCO file of a split.

    Args:
        root: Folder of the data set.
        options: What the data set consists of.
        split: 'train' or 'val'.
        annotations: What `write_scenes` returned, of all scenes.
    """
    size, source = options.size, options.source
    images, instances = [], []
    # Ids start at 1: pycocotools reads an annotation id of 0 as "matched to nothing".
    for image_id, scene in enumerate(annotations, start=1):
        name = f'{image_id - 1:06d}.png'
        images.append({'id': image_id, 'file_name': name, 'height': size, 'width': size})
        for annotation in scene:
            instances.append({'id': len(instances) + 1, 'image_id': image_id, **annotation})
    coco = {
        'info': {'description': f'{options.name}, {split}'},
        'licenses': [],
        'images': images,
        'annotations': instances,
        'categories': [
            {'id': 1 + label, 'name': name, 'supercategory': source.noun}
            for label, name in enumerate(source.classes)
        ],
    }
    path = root / 'detection' / 'annotations' / f'instances_{split}.json'
    path.write_text(json.dumps(coco))


def _class_map(scene: Scene, options: SceneOptions) -> Image.Image:
    """The classes of a scene's pixels, in the colors of its data set."""
    classes = Image.fromarray(scene.semantic)
    palette = scene_palette(len(options.source.classes))
    classes.putpalette([value for color in palette for value in color])
    return classes


def _single_name(class_name: str, index: int) -> str:
    return f'{class_name}/{index:06d}.png'


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
