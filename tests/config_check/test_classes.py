"""Heads whose number of classes is not that of the data."""

import pytest
from small_configs import CLASSES, small_config

from mmtoken.config_check.classes import class_count_problems, topk_problems

DATASET = 'train_dataloader.dataset'
HEADS = [
    ('mmpretrain', 'model.head'),
    ('mmdet', 'model.roi_head.bbox_head'),
    ('mmdet', 'model.roi_head.mask_head'),
    ('mmseg', 'model.decode_head'),
    ('mmseg', 'model.auxiliary_head.0'),
]


def problems(scope, **changes):
    return list(class_count_problems(small_config(scope, changes).to_dict(), scope))


@pytest.mark.parametrize('count', [2, 80])
@pytest.mark.parametrize(('scope', 'head'), HEADS)
def test_a_head_of_other_than_the_named_classes_is_refused(scope, head, count):
    found = problems(scope, **{f'{head}.num_classes': count})

    assert found[0].certain
    assert found[0].text.startswith(f'{head}.num_classes is {count}, and {DATASET} (')
    assert f'has 3 classes; set {head}.num_classes=3' in found[0].text


def test_a_head_that_leaves_its_number_to_the_default_is_refused():
    found = problems('mmdet', **{'model.roi_head.bbox_head.num_classes': ...})

    assert [problem.certain for problem in found] == [True]
    assert 'bbox_head.num_classes is 80, ' in found[0].text


def test_every_head_of_a_cascade_is_looked_at():
    heads = [dict(type='Shared2FCBBoxHead', num_classes=n) for n in (3, 4, 3)]

    found = problems('mmdet', **{'model.roi_head.bbox_head': heads})

    assert [problem.text.split()[0] for problem in found] == [
        'model.roi_head.bbox_head.1.num_classes'
    ]


@pytest.mark.parametrize(('count', 'certain'), [(79, True), (81, False)])
def test_what_is_larger_than_a_datasets_default_is_only_warned_of(count, certain):
    changes = {f'{loader}_dataloader.dataset.metainfo': ... for loader in ('train', 'val')}
    heads = ('model.roi_head.bbox_head', 'model.roi_head.mask_head')

    found = problems('mmdet', **changes, **{f'{head}.num_classes': count for head in heads})

    assert [problem.certain for problem in found] == [certain, certain]


def test_a_head_that_other_data_fits_is_only_warned_of():
    found = problems('mmpretrain', **{f'{DATASET}.metainfo.classes': ('cat', 'dog', 'hen', 'pig')})

    assert [problem.certain for problem in found] == [False]


def test_classes_forgotten_for_validation_are_warned_of():
    found = problems('mmdet', **{'val_dataloader.dataset.metainfo': ...})

    assert [problem.certain for problem in found] == [False, False]
    assert 'val_dataloader.dataset (CocoDataset) has 80 classes' in found[0].text


@pytest.mark.parametrize(
    'wrap',
    [
        lambda dataset: dict(type='RepeatDataset', times=2, dataset=dataset),
        lambda dataset: dict(type='ConcatDataset', datasets=[dataset, dataset]),
        lambda dataset: dict(
            type='ClassBalancedDataset',
            oversample_thr=0.1,
            dataset=dict(type='ConcatDataset', datasets=[dataset]),
        ),
    ],
)
def test_the_classes_of_a_wrapped_dataset_count(wrap):
    dataset = small_config('mmdet').train_dataloader.dataset.to_dict()
    changes = {DATASET: wrap(dataset), 'model.roi_head.mask_head.num_classes': 2}

    assert [problem.certain for problem in problems('mmdet', **changes)] == [True]


@pytest.mark.parametrize(
    ('scope', 'changes'),
    [
        ('mmdet', {'model.rpn_head.num_classes': 1}),
        (
            'mmdet',
            {'model.roi_head.semantic_head': dict(type='FusedSemanticHead', num_classes=183)},
        ),
        ('mmseg', {'model.auxiliary_head.0': dict(type='STDCHead', num_classes=2)}),
        # The background is a class that `reduce_zero_label` takes out.
        ('mmseg', {'model.decode_head.num_classes': 2, f'{DATASET}.reduce_zero_label': True}),
        ('mmpretrain', {'model.backbone.num_classes': 7}),
        ('mmpretrain', {f'{DATASET}.metainfo': ..., 'model.head.num_classes': 7}),
        (
            'mmdet',
            {
                f'{DATASET}.metainfo.thing_classes': CLASSES[:2],
                **{f'model.roi_head.{head}.num_classes': 2 for head in ('bbox_head', 'mask_head')},
            },
        ),
    ],
)
def test_heads_with_labels_of_their_own_are_let_pass(scope, changes):
    assert problems(scope, **changes, **{'val_dataloader': {}}) == []


def test_a_head_that_matches_words_is_let_pass():
    model = dict(type='GLIP', language_model=dict(type='BertModel'))
    model['bbox_head'] = dict(type='ATSSVLFusionHead', num_classes=256)

    assert problems('mmdet', model=model) == []


@pytest.mark.parametrize(('things', 'expected'), [(1, 0), (2, 1)])
def test_things_and_stuff_are_counted_together(things, expected):
    head = dict(type='MaskFormerHead', num_things_classes=things, num_stuff_classes=2)

    found = problems('mmdet', model=dict(type='MaskFormer', panoptic_head=head))

    assert len(found) == expected


@pytest.mark.parametrize(
    'train_cfg', [None, dict(augments=None), dict(augments=dict(type='Mixup', alpha=0.8))]
)
def test_labels_that_are_mixed_have_the_heads_length(train_cfg):
    changes = {'data_preprocessor.num_classes': 10, 'model.train_cfg': train_cfg}

    found = problems('mmpretrain', **changes)

    assert [problem.certain for problem in found] == [train_cfg is not None]
    assert 'data_preprocessor.num_classes is 10, and model.head.num_classes is 3' in found[0].text


@pytest.mark.parametrize(('topk', 'wrong'), [((1, 3), None), ((1, 5), 5), (4, 4)])
def test_an_accuracy_of_more_classes_than_there_are_is_refused(topk, wrong):
    evaluator = [dict(type='mmpretrain.Accuracy', topk=topk)]
    content = small_config('mmpretrain', dict(val_evaluator=evaluator)).to_dict()

    found = [problem.text for problem in topk_problems(content, 'mmpretrain')]

    said = f'val_evaluator.0.topk has {wrong}, and model.head.num_classes is 3; use topk=(1,), or '
    assert found == ([said + 'numbers up to 3'] if wrong else [])
