"""The images that rules are collected from are looked at, too."""

from types import SimpleNamespace

import pytest
from calibrated_models import LOSSES, build
from malformed_images import encoded, picture
from mmengine.registry import init_default_scope
from watched_runs import good_images, write_images

from mmtoken.errors import UserError
from mmtoken.vit_calibrator.calibration_hook import CalibrationHook


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    init_default_scope('mmpretrain')
    write_images(tmp_path / 'cat', good_images(1) | {'x.png': encoded(picture(), 'PNG')[:300]})
    dataset = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    hook = CalibrationHook([dict(losses=['dimension'])], dataset=dataset)
    model = build(calibration=dict(dimension=LOSSES['dimension']))

    images = hook._images(SimpleNamespace(model=model))

    assert images[0]['inputs'].shape[0] == 3
    with pytest.raises(UserError, match=r'CalibrationHook: .*cat/x.png is truncated: the PNG'):
        images[1]
