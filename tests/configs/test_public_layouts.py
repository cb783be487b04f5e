"""The configs of ImageNet, CIFAR-100, Tiny-ImageNet, COCO and ADE20K run on folders laid out like
the datasets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from public_layouts import (
    write_ade20k,
    write_cifar100,
    write_coco,
    write_imagenet,
    write_tiny_imagenet,
)
from small_models import shrink_run

LAYOUTS: dict[str, tuple[Callable, str]] = {
    'life-deit-tiny_8xb64_in1k': (write_imagenet, 'accuracy/top1'),
    'life-deit-tiny-p4_1xb512_cifar100': (write_cifar100, 'accuracy/top1'),
    'mask-rcnn_life-deit-tiny_sfp_1x_coco': (write_coco, 'coco/segm_mAP'),
    'life-deit-tiny_upernet_8xb2-160k_ade20k-512x512': (write_ade20k, 'mIoU'),
    'life-swinv2-tiny-p1-w8_1xb512_tiny-imagenet': (write_tiny_imagenet, 'accuracy/top1'),
}
AUGMENTED = [name for name in LAYOUTS if 'mask-rcnn' not in name]


@pytest.fixture
def small_config(
    request: pytest.FixtureRequest, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Config:
    """The config named by the test: tiny, for one step, on a folder laid out like its dataset."""
    write, _ = LAYOUTS[request.param]
    write(tmp_path / 'data')
    if write is write_cifar100:
        from mmpretrain.datasets import CIFAR100

        # The real files' checksums are not ours to match.
        monkeypatch.setattr(CIFAR100, '_check_integrity', lambda self: True)
    config = Config.fromfile(root / 'configs/life' / f'{request.param}.py')
    shrink_run(config, tmp_path)
    return config


@pytest.mark.parametrize('small_config', LAYOUTS, indirect=True)
def test_trains_and_validates(small_config: Config, request: pytest.FixtureRequest) -> None:
    _, metric = LAYOUTS[request.node.callspec.params['small_config']]
    with DefaultScope.overwrite_default_scope(small_config.default_scope):
        runner = Runner.from_cfg(small_config)
        runner.train()
        metrics = runner.val_loop.run()

    assert metric in metrics


@pytest.mark.parametrize('small_config', AUGMENTED, indirect=True)
def test_tests_with_augmentation(small_config: Config, request: pytest.FixtureRequest) -> None:
    _, metric = LAYOUTS[request.node.callspec.params['small_config']]
    config = small_config
    if 'data_preprocessor' in config:
        config.model.data_preprocessor = config.pop('data_preprocessor')
    config.model = ConfigDict(**config.tta_model, module=config.model)
    config.test_dataloader.dataset.pipeline = config.tta_pipeline

    with DefaultScope.overwrite_default_scope(config.default_scope):
        metrics = Runner.from_cfg(config).test()

    assert metric in metrics
