"""The data set on disk: three layouts that agree, whoever draws it."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmtoken.datasets import DigitDataOptions, Digits, scene_palette, write_scene_data
from mmtoken.datasets.digits import digit_ids
from mmtoken.datasets.scene_data import is_written
from mmtoken.datasets.scenes import render_scene
from mmtoken.errors import UserError

DIGITS = Digits.classes
PALETTE = scene_palette(10)
BASES = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def load_coco(root: Path, split: str) -> COCO:
    return COCO(root / 'detection' / 'annotations' / f'instances_{split}.json')


def test_files_do_not_depend_on_the_number_of_workers(data_root, small_options, tmp_path):
    write_scene_data(tmp_path / 'again', small_options, workers=3)

    assert contents(tmp_path / 'again') == contents(data_root)


def test_a_larger_data_set_begins_with_the_smaller_one(data_root, small_options, tmp_path):
    write_scene_data(tmp_path / 'more', replace(small_options, train=15, cls_train=41))

    more = contents(tmp_path / 'more')
    same = {name: data for name, data in contents(data_root).items() if name.endswith('.png')}
    assert same.items() <= more.items()


def test_classification_folders_hold_as_many_of_every_class(data_root):
    for split, count in (('train', 4), ('val', 2)):
        for digit in DIGITS:
            folder = data_root / 'classification' / split / digit

            assert len(list(folder.glob('*.png'))) == count


@pytest.mark.parametrize('split', ['train', 'val'])
def test_every_classification_image_has_the_class_map_of_its_scene(data_root, small_options, split):
    root, scene = data_root / 'classification', small_options.scene('classification')
    files = sorted((root / split).rglob('*.png'))

    for path in files:
        digit = int(path.parent.name)
        drawn = render_scene(scene, 'classification', split, int(path.stem), digit)
        classes = np.asarray(Image.open(root / 'masks' / split / path.relative_to(root / split)))

        assert np.array_equal(np.asarray(Image.open(path)), drawn.image)
        assert np.array_equal(classes == 1 + digit, drawn.instances[0].mask)
        assert set(np.unique(classes)) == {0, 1 + digit}
    assert files


@pytest.mark.parametrize('split', ['train', 'val'])
def test_classification_list_names_every_file_and_its_label(data_root, split):
    root = data_root / 'classification'

    lines = (root / 'meta' / f'{split}.txt').read_text().splitlines()

    listed = [line.split() for line in lines]
    files = {str(p.relative_to(root / split)) for p in (root / split).rglob('*.png')}
    assert {name for name, _ in listed} == files
    assert all(name.split('/')[0] == label for name, label in listed)


def test_first_lines_of_the_classification_list_are_balanced(data_root):
    lines = (data_root / 'classification' / 'meta' / 'train.txt').read_text().splitlines()

    labels = Counter(line.split()[1] for line in lines[:20])

    assert labels == dict.fromkeys(DIGITS, 2)


@pytest.mark.parametrize(('split', 'scenes'), [('train', 12), ('val', 6)])
def test_coco_file_loads_and_names_the_images(data_root, split, scenes):
    coco = load_coco(data_root, split)

    names = {image['file_name'] for image in coco.loadImgs(coco.getImgIds())}
    assert names == {path.name for path in (data_root / 'detection' / split).iterdir()}
    assert len(names) == scenes
    assert [(c['id'], c['name']) for c in coco.loadCats(coco.getCatIds())] == [
        (1 + label, str(label)) for label in range(10)
    ]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_boxes_and_areas_are_those_of_the_masks(data_root, split):
    coco = load_coco(data_root, split)

    for annotation in coco.loadAnns(coco.getAnnIds()):
        assert annotation['bbox'] == coco_mask.toBbox(annotation['segmentation']).tolist()
        assert annotation['area'] == coco.annToMask(annotation).sum()
        assert annotation['id'] > 0 and annotation['iscrowd'] == 0


@pytest.mark.parametrize(('split', 'folder'), [('train', 'training'), ('val', 'validation')])
def test_class_maps_are_the_union_of_the_instance_masks(data_root, split, folder):
    coco = load_coco(data_root, split)

    for image in coco.loadImgs(coco.getImgIds()):
        union = np.zeros((image['height'], image['width']), int)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image['id'])):
            union += annotation['category_id'] * coco.annToMask(annotation)
        path = data_root / 'segmentation' / 'annotations' / folder / image['file_name']
        assert np.array_equal(np.array(Image.open(path)), union)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_written_digits_come_from_the_split(data_root, split):
    coco = load_coco(data_root, split)

    for annotation in coco.loadAnns(coco.getAnnIds()):
        assert annotation['digit_id'] in digit_ids(split, annotation['category_id'] - 1)


def test_segmentation_shows_the_scenes_of_detection(data_root):
    detection = contents(data_root / 'detection' / 'train')
    segmentation = contents(data_root / 'segmentation' / 'images' / 'training')

    assert detection == segmentation


def test_sizes_are_options(tmp_path):
    options = DigitDataOptions(
        cls_train=1, cls_val=1, train=1, val=1, cls_size=40, size=96, max_objects=1
    )

    write_scene_data(tmp_path / 'out', options)

    sizes = {
        path.relative_to(tmp_path / 'out').parts[0]: Image.open(path).size
        for path in (tmp_path / 'out').rglob('*.png')
    }
    assert sizes == dict(classification=(40, 40), detection=(96, 96), segmentation=(96, 96))


def test_palettes_and_classes_of_the_configs_are_those_of_the_files(data_root):
    detection = Config.fromfile(BASES / 'digits_det.py').metainfo
    segmentation = Config.fromfile(BASES / 'digits_seg.py').metainfo

    path = next((data_root / 'segmentation' / 'annotations' / 'training').iterdir())
    written = np.array(Image.open(path).getpalette()[: 3 * 11]).reshape(11, 3)
    assert tuple(map(tuple, segmentation.palette)) == PALETTE == tuple(map(tuple, written))
    assert tuple(map(tuple, detection.palette)) == PALETTE[1:]
    assert segmentation.classes == ('background', *DIGITS)
    assert detection.classes == DIGITS


def test_same_options_again_write_nothing(data_root, small_options):
    before = (data_root / 'meta.json').stat().st_mtime_ns

    assert not write_scene_data(data_root, small_options)
    assert (data_root / 'meta.json').stat().st_mtime_ns == before


def test_other_options_are_refused_by_name(data_root, small_options):
    with pytest.raises(
        UserError, match='made with val 6, seed 3, not val 7, seed 4; .*--overwrite'
    ):
        is_written(data_root, replace(small_options, val=7, seed=4))


def test_another_version_is_refused(data_root, small_options, tmp_path):
    meta = json.loads((data_root / 'meta.json').read_text())
    (tmp_path / 'meta.json').write_text(json.dumps({**meta, 'version': 0}))

    with pytest.raises(UserError, match='made with version 0, not version 3'):
        is_written(tmp_path, small_options)


def test_overwrite_replaces_the_data_set(tmp_path):
    options = DigitDataOptions(cls_train=2, cls_val=1, train=1, val=1)
    write_scene_data(tmp_path / 'out', options)

    write_scene_data(tmp_path / 'out', replace(options, cls_train=1), overwrite=True)

    assert len(list((tmp_path / 'out' / 'classification' / 'train').rglob('*.png'))) == 1
    assert os.listdir(tmp_path) == ['out']


def test_a_foreign_folder_is_refused_even_with_overwrite(small_options, tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')

    with pytest.raises(UserError, match='is not a digit scenes folder'):
        write_scene_data(tmp_path, small_options, overwrite=True)
    assert (tmp_path / 'thesis.tex').exists()


def test_an_interrupted_run_leaves_nothing(small_options, tmp_path):
    def interrupt(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scene_data(tmp_path / 'out', small_options, report=interrupt)

    assert not list(tmp_path.iterdir())


def test_an_interrupted_overwrite_keeps_the_old_data_set(tmp_path):
    options = DigitDataOptions(cls_train=1, cls_val=1, train=1, val=1)
    write_scene_data(tmp_path / 'out', options)
    before = contents(tmp_path)

    def interrupt(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scene_data(
            tmp_path / 'out', replace(options, seed=9), overwrite=True, report=interrupt
        )

    assert contents(tmp_path) == before


def test_progress_counts_every_image(tmp_path):
    options = DigitDataOptions(cls_train=3, cls_val=2, train=2, val=1)
    drawn = []

    write_scene_data(tmp_path / 'out', options, report=drawn.append)

    assert sum(drawn) == options.total == 8


def test_a_data_set_without_images_is_refused():
    with pytest.raises(UserError, match='cls-val 0 asks for no image; choose 1 or more'):
        DigitDataOptions(cls_val=0)
