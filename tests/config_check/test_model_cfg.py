"""Keys of a model's train_cfg and test_cfg."""

import pytest
from small_configs import small_config

from mmtoken.config_check.model_cfg import model_cfg_problems


def problems(scope, **changes):
    return list(model_cfg_problems(small_config(scope, changes).to_dict(), scope))


@pytest.mark.parametrize(
    ('scope', 'key', 'said'),
    [
        ('mmdet', 'model.test_cfg.rcnn.scor_threshold', "rcnn has 'scor_threshold', which nothing"),
        ('mmdet', 'model.train_cfg.rpn.alowed_border', "did you mean 'allowed_border'"),
        ('mmseg', 'model.test_cfg.crop_sise', "did you mean 'crop_size'"),
    ],
)
def test_a_key_of_no_source_that_is_almost_one_that_is_read_is_refused(scope, key, said):
    found = problems(scope, **{key: 1})

    assert [problem.certain for problem in found] == [True]
    assert said in found[0].text


def test_the_right_key_that_stands_beside_is_what_was_meant():
    found = problems('mmdet', **{'model.test_cfg.rcnn.scor_threshold': 0.3})

    assert found[0].text.endswith("did you mean 'score_thr'?")


def test_a_key_that_is_like_none_is_warned_of():
    found = problems('mmseg', **{'model.test_cfg.xyzzy': 1})

    assert [problem.certain for problem in found] == [False]


def test_a_key_that_something_else_has_is_only_warned_of():
    found = problems('mmdet', **{'model.test_cfg.rcnn.score_threshold': 0.3})

    assert [problem.certain for problem in found] == [False]
    assert found[0].text.endswith("did you mean 'score_thr'?")


@pytest.mark.parametrize(
    'key', ['rcnn.max_per_img', 'rcnn.mask_thr_binary', 'rpn.nms_pre', 'rpn.min_bbox_size']
)
def test_a_key_that_a_head_reads_is_let_pass(key):
    assert problems('mmdet', **{f'model.test_cfg.{key}': 1}) == []


def test_keys_of_a_part_with_a_type_are_left_to_the_type():
    assert problems('mmdet', **{'model.train_cfg.assigner': dict(type='X', xyzzy=1)}) == []
