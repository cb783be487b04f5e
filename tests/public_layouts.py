"""Folders laid out like ImageNet, CIFAR-100, COCO and ADE20K, with a few tiny images each."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_image(path: Path, height: int = 48, width: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def write_imagenet(folder: Path) -> None:
    (folder / 'meta').mkdir(parents=True)
    for split in ('train', 'val'):
        names = [f'{split}_{index}.JPEG' for index in range(2)]
        for name in names:
            write_image(folder / split / name)
        lines = '\n'.join(f'{name} {label}' for label, name in enumerate(names))
        (folder / 'meta' / f'{split}.txt').write_text(lines)


def write_cifar100(folder: Path) -> None:
    batches = folder / 'cifar-100-python'
    batches.mkdir(parents=True)
    data = np.random.default_rng(0).integers(0, 256, (2, 3 * 32 * 32), dtype=np.uint8)
    for split in ('train', 'test'):
        entry = pickle.dumps(dict(data=data, fine_labels=[0, 1]))
        (batches / split).write_bytes(entry)
    names = dict(fine_label_names=[str(label) for label in range(100)])
    (batches / 'meta').write_bytes(pickle.dumps(names))


def write_coco(folder: Path) -> None:
    from mmdet.datasets import CocoDataset

    for split in ('train2017', 'val2017'):
        annotations = folder / 'annotations' / f'instances_{split}.json'
        write_coco_split(folder / split, annotations, CocoDataset.METAINFO['classes'])


def write_coco_split(images: Path, annotations: Path, classes: Sequence[str]) -> None:
    """Two images with a polygon each, of the first class, and their COCO JSON."""
    names = [f'{index:012d}.jpg' for index in range(2)]
    for name in names:
        write_image(images / name)
    box = dict(bbox=[10, 10, 40, 30], segmentation=[[10, 10, 50, 10, 50, 40, 10, 40]])
    content = dict(
        images=[dict(id=i, file_name=name, height=48, width=64) for i, name in enumerate(names)],
        annotations=[
            dict(id=i + 1, image_id=i, category_id=1, area=1200, iscrowd=0, **box)
            for i in range(len(names))
        ],
        categories=[dict(id=label + 1, name=name) for label, name in enumerate(classes)],
    )
    annotations.parent.mkdir(parents=True, exist_ok=True)
    annotations.write_text(json.dumps(content))


def write_ade20k(folder: Path, first_label: int = 1) -> None:
    for split, count in (('training', 2), ('validation', 1)):
        for index in range(count):
            write_image(folder / 'images' / split / f'{index}.jpg')
            labels = folder / 'annotations' / split / f'{index}.png'
            labels.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(labels), np.full((48, 64), first_label + index, dtype=np.uint8))


def write_tiny_imagenet(folder: Path, listed: bool = True) -> None:
    """As it is distributed, two classes of its 200; and the list that our converter writes."""
    for wnid in ('n01443537', 'n01629819'):
        for index in range(2):
            write_image(folder / 'train' / wnid / 'images' / f'{wnid}_{index}.JPEG', 64, 64)
    lines = []
    for index, wnid in enumerate(('n01629819', 'n01443537')):
        name = f'val_{index}.JPEG'
        write_image(folder / 'val' / 'images' / name, 64, 64)
        lines.append(f'{name}\t{wnid}\t0\t32\t44\t62\n')
    (folder / 'val' / 'val_annotations.txt').write_text(''.join(lines))
    if listed:
        (folder / 'meta').mkdir()
        (folder / 'meta' / 'val.txt').write_text('val_0.JPEG 1\nval_1.JPEG 0\n')
