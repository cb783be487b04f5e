"""Keys of dicts without a type: which are refused, which are warned of, which pass."""

import pytest
from small_configs import CLASSES, small_config

from mmtoken.config_check.check import find_problems

DATASET = 'train_dataloader.dataset'


def problems(scope, **changes):
    return list(find_problems(small_config(scope, changes)))


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_a_right_config_has_no_problem(scope):
    assert problems(scope) == []


@pytest.mark.parametrize(
    ('scope', 'key', 'value', 'said'),
    [
        ('mmdet', f'{DATASET}.metainfo', dict(CLASSES=CLASSES), "did you mean 'classes'"),
        ('mmseg', f'{DATASET}.metainfo.PALETTE', [[0, 0, 0]] * 3, "did you mean 'palette'"),
        ('mmpretrain', f'{DATASET}.metainfo', dict(Classes=CLASSES), "did you mean 'classes'"),
        ('mmdet', f'{DATASET}.data_prefix', dict(image='a'), "did you mean 'img'"),
        ('mmdet', f'{DATASET}.data_prefix', dict(img_path='a'), "did you mean 'img'"),
        ('mmseg', f'{DATASET}.data_prefix', dict(img_path='a', seg='b'), "mean 'seg_map_path'"),
        (
            'mmseg',
            f'{DATASET}.data_prefix',
            dict(image='a', seg_map_path='b'),
            "did you mean 'img_path'",
        ),
        ('mmdet', f'{DATASET}.data_prefix', ..., 'needs dict(img=...)'),
        ('mmdet', f'{DATASET}.filter_cfg', dict(min_sise=8), "did you mean 'min_size'"),
        ('mmpretrain', 'env_cfg.dist_cfg', dict(backnd='gloo'), "did you mean 'backend'"),
        ('mmpretrain', 'env_cfg.dist_cfg', dict(time_out=9), "did you mean 'timeout'"),
        (
            'mmpretrain',
            'optim_wrapper.paramwise_cfg',
            dict(custom_keys=dict(head=dict(lr_mul=10))),
            "did you mean 'lr_mult'",
        ),
        (
            'mmpretrain',
            'optim_wrapper.paramwise_cfg',
            dict(custom_keys=dict(head=10)),
            "custom_keys['head'] 10 is not a dict",
        ),
        (
            'mmpretrain',
            'default_hooks',
            dict(checkpoint=dict(type='CheckpointHook', save_bset='auto')),
            "did you mean 'save_best'",
        ),
    ],
)
def test_a_key_that_is_almost_right_or_stands_for_another_is_refused(scope, key, value, said):
    found = problems(scope, **{key: value})

    assert [problem.certain for problem in found[:1]] == [True]
    assert said in found[0].text


@pytest.mark.parametrize(
    ('scope', 'key', 'value', 'said'),
    [
        ('mmdet', f'{DATASET}.data_prefix.thermal', 'a', "'thermal', and CocoDataset reads img"),
        ('mmdet', f'{DATASET}.filter_cfg', dict(daylight=True), "'daylight', which CocoDataset"),
        ('mmseg', f'{DATASET}.filter_cfg', dict(min_size=1), 'BaseSegDataset does not read'),
        (
            'mmpretrain',
            'optim_wrapper.paramwise_cfg',
            dict(custom_keys=dict(head=dict(fix_lr=True))),
            'set lr_mult or decay_mult',
        ),
    ],
)
def test_a_key_that_is_like_no_other_is_warned_of(scope, key, value, said):
    found = problems(scope, **{key: value})

    assert [problem.certain for problem in found] == [False]
    assert said in found[0].text


@pytest.mark.parametrize(
    ('scope', 'key', 'value'),
    [
        ('mmdet', f'{DATASET}.metainfo.base_classes', CLASSES[:1]),
        ('mmdet', f'{DATASET}.data_prefix', dict(img='a', seg='b')),
        ('mmdet', f'{DATASET}.filter_cfg', dict(filter_empty_gt=True, min_size=32)),
        ('mmpretrain', f'{DATASET}.data_prefix', dict(img_path='a')),
        ('mmpretrain', 'env_cfg.dist_cfg', dict(backend='nccl', timeout=1800)),
        (
            'mmpretrain',
            'optim_wrapper.paramwise_cfg',
            dict(custom_keys=dict(head=dict(lr_mult=10, lars_exclude=True), neck=dict(lr=0.1))),
        ),
    ],
)
def test_what_is_read_is_let_pass(scope, key, value):
    assert problems(scope, **{key: value}) == []
