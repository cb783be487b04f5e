"""Windows that do not divide the patches of the training images are told, with sizes that would."""

from pathlib import Path

import pytest
from mmengine.config import Config
from small_configs import small_config

from mmtoken.config_check.windows import training_size, window_problems

CONFIGS = Path(__file__).parents[2] / 'configs'
DEIT = CONFIGS / 'deit/mask-rcnn_deit-tiny_sfp_1x_coco.py'
VITDET = CONFIGS / 'foundation/mask-rcnn_mae-base_sfp_lsj-100e_coco.py'
PIPELINE = 'train_dataloader.dataset.pipeline'
FIXED = [dict(type='Resize', scale=(96, 64), keep_ratio=False)]


def problems(window, scope='mmdet', pipeline=FIXED, **changes):
    """What is said of a small backbone with patches of 8 px."""
    changes = {'model.backbone.window_size': window, PIPELINE: pipeline, **changes}
    content = small_config(scope, changes).to_dict()
    found = list(window_problems(content, scope))
    assert not any(problem.certain for problem in found)
    return [problem.text for problem in found]


@pytest.mark.parametrize('window', [0, 4, 2, 12])
def test_windows_that_divide_the_grid_or_cover_it_are_let_pass(window):
    assert problems(window) == []


def test_what_is_padded_is_said_with_what_would_fit():
    (text,) = problems(3)

    assert text == (
        'model.backbone.window_size 3 pads the 8x12 patches of 64x96 px to 9x12, 12% more to '
        'compute; 2, 4 would fit: set model.backbone.window_size=2'
    )


def test_a_grid_that_nothing_near_divides_wants_another_image_size():
    (text,) = problems(5, pipeline=[dict(type='Resize', scale=(88, 88))])

    assert text.endswith('none from 2 to 10 would fit: choose another image size')


@pytest.mark.parametrize(
    ('window', 'said'),
    [
        # 8x12 patches, then 4x6, which windows of 4 would pad.
        (4, 'window_size 4 pads the 4x6 patches of 64x96 px to 4x8, 33% more'),
        (3, 'window_size 3 pads the 8x12 patches of 64x96 px to 9x12, 12% more'),
    ],
)
def test_windows_are_to_fit_before_and_after_a_pool(window, said):
    (text,) = problems(window, **{'model.backbone.pool_before': (1,)})

    assert said in text
    assert text.endswith('; 2 would fit: set model.backbone.window_size=2')


def test_a_layer_that_is_global_pads_nothing():
    assert problems(3, **{'model.backbone.global_attn_indexes': (0, 1)}) == []


def test_a_backbone_in_lora_is_looked_at():
    inner = small_config('mmdet').model.backbone.to_dict()
    lora = dict(type='mmpretrain.LoRABackbone', module=dict(inner, window_size=3))

    (text,) = problems(0, **{'model.backbone': lora})

    assert 'pads the 8x12 patches' in text


@pytest.mark.parametrize(
    ('window', 'said'),
    [
        (14, 'pads the 50 patches of 800 px to 56, 12% more to compute; 10, 25 would fit'),
        (10, None),
    ],
)
def test_of_images_that_keep_their_ratio_the_shorter_side_is_looked_at(window, said):
    content = Config.fromfile(DEIT).to_dict()
    content['model']['backbone']['window_size'] = window

    texts = [problem.text for problem in window_problems(content, 'mmdet')]

    assert len(texts) == (said is not None)
    assert said is None or said in texts[0]


def test_vitdets_windows_of_14_pad_a_fifth():
    content = Config.fromfile(VITDET).to_dict()
    content['model']['backbone']['window_size'] = 14

    (problem,) = window_problems(content, 'mmdet')

    assert 'the 64x64 patches of 1024x1024 px to 70x70, 20% more' in problem.text
    assert problem.text.endswith('8, 16 would fit: set model.backbone.window_size=16')


def size(scope='mmdet', pipeline=(), **preprocessor):
    model = dict(data_preprocessor=preprocessor)
    dataset = dict(type='RepeatDataset', dataset=dict(pipeline=list(pipeline)))
    return training_size(dict(model=model, train_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        (size(), None),
        (size(pipeline=[dict(type='RandomResizedCrop', scale=224)]), (224, 224)),
        (size(pipeline=[dict(type='mmdet.Resize', scale=(96, 64))]), (64, 96)),
        (size(pipeline=[dict(type='Resize', scale=(1333, 800), keep_ratio=True)]), (800,)),
        (
            size(
                pipeline=[dict(type='Resize', scale=(1333, 790), keep_ratio=True)],
                pad_size_divisor=32,
            ),
            (800,),
        ),
        (size(pipeline=[*FIXED, dict(type='RandomResize', scale=(96, 64))]), None),
        (size(pipeline=[dict(type='RandomResize'), dict(type='Pad', size=(80, 64))]), (64, 80)),
        (size(pipeline=[*FIXED, dict(type='Pad', size_divisor=32)]), (64, 96)),
        (size(pipeline=FIXED, size=(512, 256)), (512, 256)),
        (size(batch_augments=[dict(type='BatchFixedSizePad', size=(80, 64))]), (80, 64)),
    ],
)
def test_the_size_of_training_images_is_read_off_the_config(found, expected):
    assert found == expected
