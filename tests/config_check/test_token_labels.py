"""Label maps of other classes than the head's, and pipelines that leave them behind, are told."""

import pytest
from mmengine.config import Config
from small_configs import small_config

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.token_labels import token_label_problems

LOAD = dict(type='LoadTokenLabels', store='labels', images='no/data/train', num_classes=4)
CROP = dict(type='RandomResizedCrop', scale=32)
FLIP = dict(type='RandomFlip', prob=0.5)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    LOAD,
    dict(type='TrackAffine', transforms=[CROP, FLIP]),
    dict(type='PackTokenLabels'),
]
MODEL = dict(
    type='TokenLabelClassifier',
    backbone=dict(type='TokenViT', arch='deit-tiny', out_type='raw'),
    head=dict(type='TokenLabelHead', num_classes=3, in_channels=192, num_token_classes=4),
)


def problems(pipeline=PIPELINE, head=None, dataset=None, **model):
    changes = {'train_dataloader.dataset.pipeline': pipeline}
    content = small_config('mmpretrain', changes).to_dict()
    content['model'] = {**MODEL, 'head': dict(MODEL['head'], **head or {}), **model}
    if dataset:
        inner = content['train_dataloader']['dataset']
        content['train_dataloader']['dataset'] = dict(dataset, dataset=inner)
    found = list(token_label_problems(content, 'mmpretrain'))
    assert all(problem.certain for problem in found)
    return [problem.text for problem in found]


def test_a_right_pipeline_is_let_pass():
    assert problems() == []
    # Resizing moves no place.
    assert problems([PIPELINE[0], dict(type='Resize', scale=40), *PIPELINE[1:]]) == []


def test_the_check_of_a_config_looks_at_label_maps():
    config = small_config('mmpretrain', {'train_dataloader.dataset.pipeline': [LOAD, FLIP]})

    texts = [problem.text for problem in find_problems(Config(config.to_dict()))]

    assert any('moves the image and not its label map' in text for text in texts)


@pytest.mark.parametrize(
    ('head', 'key', 'count'),
    [
        (dict(num_token_classes=3), 'num_token_classes', 3),
        (dict(num_token_classes=None), 'num_classes', 3),
    ],
)
@pytest.mark.parametrize('dataset', [None, dict(type='RepeatDataset', times=2)])
def test_another_number_of_classes_than_the_heads_is_told(head, key, count, dataset):
    (text,) = problems(head=head, dataset=dataset)

    assert f'.num_classes is 4, and model.head.{key}, the classes of patches, is {count}' in text


def test_a_model_that_reads_no_maps_may_have_any_classes():
    assert problems(head=dict(num_token_classes=3), token_labels='image') == []


def test_maps_that_nothing_reads_may_have_any_classes():
    head = dict(num_token_classes=3, dense_weight=0)

    assert problems(head=head, class_target='label') == []
    assert problems(head=head) != []


def test_policies_that_change_colors_alone_may_stand_anywhere():
    colors = [dict(type='Solarize', magnitude_range=(0, 9)), dict(type='Invert')]
    step = dict(type='RandAugment', num_policies=1, magnitude_level=9)

    assert problems([*PIPELINE[:3], dict(step, policies=colors), PIPELINE[3]]) == []
    shear = [*colors, dict(type='Shear', magnitude_range=(0, 0.3))]
    (text,) = problems([*PIPELINE[:3], dict(step, policies=shear), PIPELINE[3]])
    assert '(Shear) moves the image' in text


def test_tracking_before_the_maps_are_loaded_is_told():
    load, maps, track, pack = PIPELINE

    (text,) = problems([load, track, maps, pack])

    assert 'pipeline.1 (TrackAffine) stands before LoadTokenLabels' in text


@pytest.mark.parametrize(
    'step',
    [
        FLIP,
        CROP,
        dict(type='RandAugment', policies='timm_increasing', num_policies=2, magnitude_level=9),
        dict(type='Pad', size=(64, 64)),
        dict(type='RandomApply', transforms=[FLIP], prob=0.5),
    ],
)
@pytest.mark.parametrize('place', [1, 2, 3])
def test_what_moves_the_image_alone_is_told(step, place):
    (text, *_) = problems([*PIPELINE[:place], step, *PIPELINE[place:]])

    assert f'pipeline.{place}' in text
    assert 'moves the image and not its label map; put it into the transforms of Track' in text


def test_without_maps_anything_may_move():
    assert problems([PIPELINE[0], FLIP, dict(type='PackInputs')]) == []


@pytest.mark.parametrize(('classes', 'told'), [(2, False), (3, False), (4, True), (10, True)])
def test_maps_of_the_foreground_have_the_heads_classes_and_the_background(classes, told):
    head = dict(num_classes=classes, num_token_classes=None)

    texts = problems(
        head=head, type='CalibratedClassifier', foreground=dict(type='SuppliedForeground')
    )

    assert bool(texts) == told
    if told:
        assert f'have the classes of the head and the background, {classes + 1}' in texts[0]
