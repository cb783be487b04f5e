"""A small data set, and the converter as a function."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from mmtoken.datasets import DigitDataOptions, write_digit_scenes

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'digit_scenes.py'
SMALL = DigitDataOptions(cls_train=40, cls_val=20, train=12, val=6, seed=3)


@pytest.fixture(scope='session')
def small_options() -> DigitDataOptions:
    return SMALL


@pytest.fixture(scope='session')
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of `small_options`; tests only read it."""
    root = tmp_path_factory.mktemp('digits') / 'digit_scenes'
    write_digit_scenes(root, SMALL)
    return root


@pytest.fixture(scope='session')
def convert() -> Callable[..., None]:
    """`main` of tools/dataset_converters/digit_scenes.py, taking the command line's words."""
    spec = importlib.util.spec_from_file_location('digit_scenes_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *words: module.main([str(word) for word in words])
