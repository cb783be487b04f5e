"""Necks and heads that do not fit the backbone's maps are named before anything is built."""

from pathlib import Path

import pytest
from mmengine.config import Config
from small_configs import CONFIGS, small_config

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.necks import neck_problems

REPO = Path(__file__).parents[2]
PYRAMID = dict(type='mmpretrain.SimpleFeaturePyramid', in_channels=24, out_channels=24)


def problems(scope, **changes):
    content = small_config(scope, changes).to_dict()
    return [problem.text for problem in neck_problems(content, scope)]


@pytest.mark.parametrize('scope', CONFIGS)
def test_right_configs_are_let_pass(scope):
    assert problems(scope) == []


@pytest.mark.parametrize(
    ('scope', 'changes', 'named'),
    [
        (
            'mmdet',
            {'model.neck': dict(PYRAMID, patch_size=16)},
            'model: patch_size 16 of SimpleFeaturePyramid does not fit its backbone TokenViT, '
            'whose last map has a stride of 8; set patch_size=8 in the config of the neck',
        ),
        (
            'mmdet',
            {
                'model.neck': dict(PYRAMID, patch_size=8),
                'model.backbone.pool_before': (1,),
            },
            'whose last map has a stride of 16; set patch_size=16',
        ),
        ('mmdet', {'model.neck': dict(type='FPN', in_channels=[8], out_channels=8, num_outs=1)},
         'in_channels [8] of FPN does not fit its backbone TokenViT'),
        ('mmpretrain', {'model.head.in_channels': 192}, 'set in_channels=24 in the config of head'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_what_would(scope, changes, named):
    (text,) = problems(scope, **changes)

    assert named in text


def test_heads_in_a_list_are_looked_at_and_one_that_cannot_be_built_hides_none():
    auxiliary = CONFIGS['mmseg']['model']['auxiliary_head'][0]
    wrong, unknown = dict(auxiliary, in_channels=99), dict(auxiliary, type='Nothing')

    (text,) = problems('mmseg', **{'model.auxiliary_head': [auxiliary, wrong]})
    assert 'set in_channels=24 in the config of auxiliary_head' in text
    (text,) = problems(
        'mmseg', **{'model.auxiliary_head': unknown, 'model.decode_head.in_channels': 99}
    )
    assert 'set in_channels=24 in the config of decode_head' in text


def test_other_backbones_and_what_cannot_be_built_are_left_to_others():
    neck = dict(PYRAMID, patch_size=16)

    assert (
        problems('mmdet', **{'model.neck': neck, 'model.backbone': dict(type='ResNet', depth=50)})
        == []
    )
    assert problems('mmdet', **{'model.neck': neck, 'model.backbone.patch_size': 'a'}) == []
    assert problems('mmdet', **{'model.neck': dict(neck, type='Nothing')}) == []


def test_the_check_of_a_config_looks_at_them():
    cfg = Config.fromfile(REPO / 'configs' / 'digits' / 'mask-rcnn_life-d6w96_digits-det.py')
    cfg.model.backbone.pool_before = (3,)

    found = [problem.text for problem in find_problems(cfg, with_data=False)]

    assert [text for text in found if 'set patch_size=16 in the config of the neck' in text]
