"""The demo's pictures, of predictions made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import dump
from PIL import Image
from pycocotools import mask as rle

from mmtoken.experiments.demo_pictures import (
    classification_picture,
    detection_picture,
    segmentation_picture,
    spread,
)


def test_spread_covers_the_data_evenly():
    assert spread(11, 3) == [0, 5, 10]
    assert spread(2, 5) == [0, 1]


@pytest.fixture
def scene(tmp_path) -> Path:
    """A folder with one image of 16 px."""
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / '000000.png')
    return tmp_path


def is_picture(path: Path) -> bool:
    """Whether a PNG was drawn that is not of one color."""
    return Image.open(path).convert('L').getextrema() != (255, 255)


def test_classification_picture(scene):
    score = torch.tensor([0.2, 0.8])
    sample = {'img_path': str(scene / '000000.png'), 'gt_label': torch.tensor([1]),
              'pred_label': torch.tensor([0]), 'pred_score': score}  # fmt: skip
    dump([sample] * 3, scene / 'predictions.pkl')
    classification_picture(scene / 'predictions.pkl', scene / 'out.png')
    assert is_picture(scene / 'out.png')


def test_detection_picture(scene):
    mask = rle.encode(np.asfortranarray(np.eye(16, dtype=np.uint8)))
    text = {'size': mask['size'], 'counts': mask['counts'].decode()}
    coco = {
        'images': [{'id': 1, 'file_name': '000000.png', 'height': 16, 'width': 16}],
        'categories': [{'id': 1, 'name': '0'}, {'id': 2, 'name': '1'}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 2, 'bbox': [1, 2, 8, 9], 'area': 9,
                         'iscrowd': 0, 'segmentation': text}],
    }  # fmt: skip
    (scene / 'instances.json').write_text(json.dumps(coco))
    found = {
        'labels': torch.tensor([1, 0]),
        'scores': torch.tensor([0.9, 0.1]),
        'bboxes': torch.tensor([[1.0, 2, 9, 11], [0, 0, 4, 4]]),
        'masks': [mask, mask],
    }
    sample = {'img_id': 1, 'img_path': str(scene / '000000.png'), 'pred_instances': found}
    dump([sample], scene / 'predictions.pkl')
    detection_picture(scene / 'predictions.pkl', scene / 'instances.json', scene / 'out.png')
    assert is_picture(scene / 'out.png')


def test_segmentation_picture(scene):
    for name, label in (('true', 0), ('said', 10)):
        (scene / name).mkdir()
        Image.fromarray(np.full((16, 16), label, np.uint8)).save(scene / name / '000000.png')
    segmentation_picture(scene / 'said', scene / 'true', scene, scene / 'out.png')
    assert is_picture(scene / 'out.png')
