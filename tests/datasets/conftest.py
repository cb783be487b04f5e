"""A small data set, and the converter as a function."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mmtoken.datasets import DigitDataOptions, write_digit_scenes

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


@pytest.fixture
def convert(load_tool: Callable[[str], ModuleType]) -> Callable[..., None]:
    """`main` of tools/dataset_converters/digit_scenes.py, taking the command line's words."""
    main = load_tool('dataset_converters/digit_scenes.py').main
    return lambda *words: main([str(word) for word in words])
