"""Necks and heads that do not fit the backbone's maps are named before anything is built."""

from pathlib import Path

import pytest
from mmengine.config import Config
from small_configs import ARCH, BACKBONE, CONFIGS, small_config

from mmtoken.config_check.check import check_config, find_problems
from mmtoken.config_check.necks import neck_problems
from mmtoken.errors import UserError

REPO = Path(__file__).parents[2]
PYRAMID = dict(type='mmpretrain.SimpleFeaturePyramid', in_channels=24, out_channels=24)


def problems(scope, **changes):
    content = small_config(scope, changes).to_dict()
    return [problem.text for problem in neck_problems(content, scope)]


STAGES = [dict(depth=1, embed_dims=c, num_heads=2) for c in (12, 24, 48)]
PYRAMIDAL = dict(
    type='mmpretrain.PSViT', stages=STAGES, img_size=32, patch_size=4, out_indices=(0, 1, 2),
    out_type='featmap',
)  # fmt: skip
# Every second map has another stride in height than in width.
ROWS = dict(PYRAMIDAL, pooling='1d')
FOUR_MAPS = dict(BACKBONE, arch=dict(ARCH, num_layers=4), out_type='featmap', out_indices=range(4))
CHANNELS = dict(out_channels=8)
FPN = dict(type='FPN', in_channels=[12, 24, 48], num_outs=3, **CHANNELS)
MAPPER = dict(type='ChannelMapper', **CHANNELS)
DILATED = dict(
    type='DilatedEncoder', block_mid_channels=8, num_residual_blocks=1, block_dilations=[2],
    **CHANNELS,
)  # fmt: skip
LINEAR = dict(type='LinearNeck', **CHANNELS)


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


@pytest.mark.parametrize(
    ('scope', 'backbone', 'neck', 'named'),
    [
        ('mmdet', PYRAMIDAL, dict(MAPPER, in_channels=[12, 24, 40]), 'ChannelMapper takes a map of '
         '40 channels where its backbone PSViT gives one of 48; set the widths of its outputs, '
         '[12, 24, 48], in the config of the neck'),
        ('mmdet', PYRAMIDAL, dict(MAPPER, in_channels=[12, 24]), 'ChannelMapper does not take the '
         '3 outputs of its backbone PSViT, of [12, 24, 48] channels; set these widths'),
        ('mmdet', PYRAMIDAL, dict(DILATED, in_channels=40), 'DilatedEncoder takes a map of 40 '),
        ('mmdet', PYRAMIDAL, [dict(DILATED, in_channels=40), FPN], 'DilatedEncoder takes a map of'),
        ('mmseg', FOUR_MAPS, dict(type='Feature2Pyramid', embed_dim=12), 'Feature2Pyramid takes '),
        ('mmpretrain', BACKBONE, dict(LINEAR, in_channels=12), 'LinearNeck takes a map of 12 '),
    ],
)  # fmt: skip
def test_necks_that_keep_no_widths_to_compare_are_held_against_the_maps(
    scope, backbone, neck, named
):
    (text,) = problems(scope, **{'model.backbone': backbone, 'model.neck': neck})

    assert named in text


@pytest.mark.parametrize(
    ('scope', 'backbone', 'neck'),
    [
        ('mmdet', PYRAMIDAL, dict(MAPPER, in_channels=[12, 24, 48])),
        ('mmdet', PYRAMIDAL, dict(DILATED, in_channels=48)),
        ('mmdet', PYRAMIDAL, [FPN, dict(type='BFP', in_channels=8, num_levels=3)]),
        # It leaves out the first maps.
        ('mmdet', PYRAMIDAL, dict(FPN, type='CLRNetFPN', in_channels=[24, 48], num_outs=2)),
        ('mmseg', FOUR_MAPS, dict(type='Feature2Pyramid', embed_dim=24)),
        ('mmpretrain', BACKBONE, dict(LINEAR, in_channels=24)),
        ('mmpretrain', BACKBONE, dict(type='GlobalAveragePooling')),
        # As many as there are in a whole map of 4 x 4 patches.
        ('mmpretrain', dict(BACKBONE, out_type='featmap'), dict(LINEAR, in_channels=384)),
    ],
)
def test_necks_that_take_the_maps_are_let_pass(scope, backbone, neck):
    assert problems(scope, **{'model.backbone': backbone, 'model.neck': neck}) == []


@pytest.mark.parametrize('in_channels', [(12, 24, 48), 48])
@pytest.mark.parametrize('backbone', [PYRAMIDAL, dict(type='ResNet', depth=50)])
@pytest.mark.parametrize('in_list', [False, True])
def test_a_neck_that_asserts_something_of_its_arguments_is_named_with_them(
    in_channels, in_list, backbone
):
    neck = dict(FPN, in_channels=in_channels)

    (text,) = problems(
        'mmdet', **{'model.backbone': backbone, 'model.neck': [FPN, neck] if in_list else neck}
    )

    assert text.startswith(f'model.neck: FPN cannot be built with in_channels={in_channels}, num_')
    assert text.endswith('of which it asserts: isinstance(in_channels, list)')


@pytest.mark.parametrize(
    'model',
    [
        CONFIGS['mmdet']['model'],
        dict(type='FastRCNN', roi_head=CONFIGS['mmdet']['model']['roi_head']),
        dict(type='ATSS', bbox_head=dict(type='ATSSHead', num_classes=3, in_channels=8)),
    ],
    ids=lambda model: model['type'],
)
def test_the_check_refuses_detectors_over_maps_of_two_strides(model):
    cfg = small_config('mmdet', {'model': dict(model, backbone=ROWS, neck=FPN)})

    with pytest.raises(UserError, match='map 1 of PSViT has strides of 4 in height and 8 in width'):
        check_config(cfg)


def test_models_that_bring_maps_to_one_size_take_two_strides():
    assert problems('mmseg', **{'model.backbone': ROWS, 'model.neck': FPN}) == []


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
