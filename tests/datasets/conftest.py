"""A small data set."""

from pathlib import Path

import pytest

from mmtoken.datasets import DigitDataOptions, write_scene_data

SMALL = DigitDataOptions(cls_train=40, cls_val=20, train=12, val=6, seed=3)


@pytest.fixture(scope='session')
def small_options() -> DigitDataOptions:
    return SMALL


@pytest.fixture(scope='session')
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of `small_options`; tests only read it."""
    root = tmp_path_factory.mktemp('digits') / 'digit_scenes'
    write_scene_data(root, SMALL)
    return root
