"""Scenes to probe on, and the config of a segmentor on them."""

import pytest
from mmengine.config import Config
from probe_scenes import write_scenes, write_segmentor


@pytest.fixture(scope='session')
def probe_root(tmp_path_factory):
    """The root of some scenes; tests only read it."""
    root = tmp_path_factory.mktemp('probe')
    write_scenes(root)
    return root


@pytest.fixture
def segmentor(probe_root, tmp_path):
    """The config of a segmentor, read afresh."""
    return Config.fromfile(write_segmentor(probe_root, tmp_path / 'segmentor.py'))
