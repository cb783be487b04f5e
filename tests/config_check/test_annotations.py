"""Classes of a config that are not those of its data."""

import json
import re

import pytest
from small_configs import small_config

from mmtoken.config_check.annotations import annotation_problems
from mmtoken.config_check.classes import class_count_problems

DATASET = 'train_dataloader.dataset'


def problems(scope, find=annotation_problems, **changes):
    return list(find(small_config(scope, changes).to_dict(), scope))


@pytest.fixture
def write_coco(tmp_path):
    """A function that writes COCO annotations without images, and returns their path."""

    def write(*names):
        categories = [dict(id=index, name=name) for index, name in enumerate(names)]
        path = tmp_path / 'coco.json'
        path.write_text(json.dumps(dict(images=[], annotations=[], categories=categories)))
        return str(path)

    return write


def test_annotations_without_one_of_the_classes_are_refused(write_coco):
    path = write_coco('nut', 'bolt')

    found = problems('mmdet', **{f'{DATASET}.metainfo': ..., f'{DATASET}.ann_file': path})

    assert [problem.certain for problem in found] == [True]
    assert "the categories 'nut', 'bolt', and none of the classes 'person'" in found[0].text


@pytest.mark.parametrize(('name', 'certain'), [('hens', True), ('elephant', False)])
def test_a_class_that_annotations_lack_is_refused_if_it_is_nearly_there(write_coco, name, certain):
    found = problems('mmdet', **{f'{DATASET}.ann_file': write_coco('cat', 'dog', name)})

    assert [problem.certain for problem in found] == [certain]
    assert "no 'hen', which is a class of" in found[0].text


def test_annotations_with_more_than_the_classes_are_let_pass(write_coco):
    path = write_coco('pig', 'hen', 'cat', 'dog')

    assert problems('mmdet', **{f'{DATASET}.ann_file': path}) == []


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('{"images": [], "annot', r'Unterminated string .*'),
        ('', 'Expecting value: .*'),
        (b'\xff\xfe\x00'.decode('latin1'), 'Expecting value: .*'),
        ('[1]', 'it has no list of categories'),
        ('{"categories": 3}', 'it has no list of categories'),
        ('{"categories": [{"id": 3}]}', r"a category is {'id': 3}, without a name"),
        ('{"categories": ["cat"]}', "a category is 'cat', without a name"),
    ],
    ids=['half', 'empty', 'bytes', 'list', 'number', 'nameless', 'text'],
)
def test_what_is_no_file_of_annotations_is_named(tmp_path, content, reason):
    (tmp_path / 'coco.json').write_text(content)

    [found] = problems('mmdet', **{f'{DATASET}.ann_file': str(tmp_path / 'coco.json')})

    assert found.certain and '\n' not in found.text
    start = f"{DATASET}.ann_file '{tmp_path}/coco.json' is no file of annotations in COCO's format "
    assert re.match(rf'{re.escape(start)}\({reason}\); ', found.text)


def test_folders_of_another_number_than_the_classes_are_refused(tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / 'train' / name).mkdir(parents=True)

    found = problems('mmpretrain', **{f'{DATASET}.data_root': str(tmp_path)})

    assert "has 3 classes, and its folder has 2, 'cat', 'dog'; name those" in found[0].text


def test_folders_count_as_classes_where_none_are_named(tmp_path):
    for name in ('cat', 'dog', 'hen', 'pig'):
        (tmp_path / 'train' / name).mkdir(parents=True)
    changes = {f'{DATASET}.data_root': str(tmp_path), f'{DATASET}.metainfo': ...}

    found = problems('mmpretrain', class_count_problems, **changes, val_dataloader={})

    assert [problem.certain for problem in found] == [True]
    assert 'model.head.num_classes is 3, and train_dataloader.dataset' in found[0].text


def test_folders_beside_a_list_of_images_do_not_count(tmp_path):
    (tmp_path / 'train' / 'cat').mkdir(parents=True)
    changes = {f'{DATASET}.data_root': str(tmp_path), f'{DATASET}.ann_file': 'train.txt'}

    assert problems('mmpretrain', **changes) == []


def test_classes_that_a_segmentation_dataset_does_not_have_are_refused():
    found = problems('mmseg', **{f'{DATASET}.type': 'ADE20KDataset'})

    assert "metainfo has the classes 'cat', 'dog', 'hen', which ADE20KDataset" in found[0].text
    assert found[0].text.endswith('type=BaseSegDataset for classes of your own')


def test_some_of_the_classes_of_a_segmentation_dataset_are_let_pass():
    changes = {f'{DATASET}.type': 'ADE20KDataset', f'{DATASET}.metainfo.classes': ('wall', 'sky')}

    assert problems('mmseg', **changes) == []


@pytest.mark.parametrize('name', [-3, ['cat'], dict(a=1)])
def test_a_class_whose_name_is_no_text_is_refused(write_coco, name):
    changes = {f'{DATASET}.metainfo': dict(classes=['nut', name])}

    found = problems('mmdet', **changes, **{f'{DATASET}.ann_file': write_coco('nut')})

    assert found[0].text.startswith(f'{DATASET}.metainfo.classes has {name!r}, which is not a text')
