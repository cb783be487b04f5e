"""What glyph scenes on disk have that digit scenes have not."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmtoken.datasets import GlyphDataOptions, write_scene_data
from mmtoken.datasets.glyphs import FACES, TRAIN_FACES, split_id

BASES = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
OPTIONS = GlyphDataOptions(cls_train=80, cls_val=24, train=6, val=3, classes=12, imbalance=20)


@pytest.fixture(scope='module')
def glyph_root(tmp_path_factory) -> Path:
    """A data set of `OPTIONS`; tests only read it."""
    root = tmp_path_factory.mktemp('glyphs') / 'glyph_scenes'
    write_scene_data(root, OPTIONS)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def load_coco(root: Path, split: str) -> dict:
    return json.loads((root / f'detection/annotations/instances_{split}.json').read_text())


def test_files_do_not_depend_on_the_number_of_workers(glyph_root, tmp_path):
    write_scene_data(tmp_path / 'again', OPTIONS, workers=3)

    assert contents(tmp_path / 'again') == contents(glyph_root)


@pytest.mark.parametrize(('split', 'first', 'last'), [('train', 20, 1), ('val', 2, 2)])
def test_training_has_a_long_tail_and_validation_has_none(glyph_root, split, first, last):
    root = glyph_root / 'classification'
    listed = [line.split() for line in (root / f'meta/{split}.txt').read_text().splitlines()]

    counts = Counter(int(label) for _, label in listed)

    assert (counts[0], counts[11]) == (first, last)
    assert all((root / split / name).is_file() for name, _ in listed)
    assert all(OPTIONS.source.classes[int(k)] == name.split('/')[0] for name, k in listed)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_written_glyphs_come_from_the_split(glyph_root, split):
    for annotation in load_coco(glyph_root, split)['annotations']:
        label, face, _ = split_id(annotation['glyph_id'])

        assert label == annotation['category_id'] - 1
        assert (FACES[face] in TRAIN_FACES) == (split == 'train')


def test_categories_have_the_names_of_the_folders(glyph_root):
    names = [category['name'] for category in load_coco(glyph_root, 'val')['categories']]

    assert names == json.loads((glyph_root / 'meta.json').read_text())['classes']
    assert {path.name for path in (glyph_root / 'classification/val').iterdir()} == set(names)


def test_configs_name_and_paint_the_classes_of_the_files(glyph_scenes):
    classes = tuple(GlyphDataOptions().source.classes)
    cls, det, seg = (Config.fromfile(BASES / f'glyphs_{t}.py') for t in ('cls', 'det', 'seg'))

    path = next((glyph_scenes / 'segmentation/annotations/training').iterdir())
    written = np.array(Image.open(path).getpalette()).reshape(-1, 3)[:97]
    assert cls.metainfo.classes == det.metainfo.classes == classes
    assert seg.metainfo.classes == ('background', *classes)
    assert np.array_equal(seg.metainfo.palette, written)
    assert np.array_equal(det.metainfo.palette, written[1:])
