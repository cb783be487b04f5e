"""What tests of several folders share: tiny data, a tiny config, and the tools as modules."""

import gc
import importlib.util
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

REPO = Path(__file__).parents[1]
# The tensors of the tests are too small to share between threads.
torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Keep what was imported from being looked through again: mmengine's data sets collect garbage
    as they are made, which takes half a second where the libraries and thousands of tests are.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='module')
def own_default_scope() -> Iterator[None]:
    """Forget the default scope that a module's tests set, lest the next look in its registries."""
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def hear_ctrl_c() -> Iterator[None]:
    """Answer SIGINT as Python does, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run_log() -> Iterator[list[tuple[str, str]]]:
    """Level and text of what is written to the run's log from here on."""
    lines: list[tuple[str, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    # A tool that ran before in this process may have silenced it.
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture(scope='session')
def digit_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a tiny digit data set: classification, detection and segmentation."""
    from mmtoken.datasets import DigitDataOptions, write_scene_data

    root = tmp_path_factory.mktemp('data') / 'digit_scenes'
    write_scene_data(root, DigitDataOptions(cls_train=40, cls_val=20, train=8, val=4))
    return root


@pytest.fixture(scope='session')
def glyph_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a tiny glyph data set: classification, detection and segmentation."""
    from mmtoken.datasets import GlyphDataOptions, write_scene_data

    root = tmp_path_factory.mktemp('data') / 'glyph_scenes'
    write_scene_data(root, GlyphDataOptions(cls_train=96, cls_val=96, train=8, val=4))
    return root


BACKBONE_CONFIG = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmtoken'], allow_failed_imports=False)
model = dict(backbone=dict(
    type='TokenViT', img_size=32, patch_size=8, init_cfg=dict(type='Pretrained', checkpoint='no'),
    arch=dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=24)))
"""


@pytest.fixture
def backbone_config(tmp_path: Path) -> str:
    """A config with a tiny backbone and pretrained weights that are not there."""
    path = tmp_path / 'tiny.py'
    path.write_text(BACKBONE_CONFIG)
    return str(path)


@pytest.fixture(scope='session')
def load_tool() -> Callable[[str], ModuleType]:
    """A function that imports a script of ``tools/`` by its path there, ``'train.py'``."""

    def load(path: str) -> ModuleType:
        name = f'tools_{path.removesuffix(".py").replace("/", "_")}'
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, REPO / 'tools' / path)
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return sys.modules[name]

    return load
