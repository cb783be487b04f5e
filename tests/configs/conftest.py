"""Every leaf config, and its model at full size, built once for all the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from leaf_paths import LEAVES, ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn


@pytest.fixture(scope='module')
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope='module')
def leaves() -> list[Path]:
    """All leaf configs."""
    return LEAVES


@pytest.fixture(scope='module', params=LEAVES, ids=lambda path: path.stem)
def leaf(request: pytest.FixtureRequest) -> Path:
    """One leaf config after the other."""
    return request.param


@pytest.fixture(scope='module')
def config(leaf: Path) -> Iterator[Config]:
    """The parsed leaf config, with its library's registries in scope."""
    config = Config.fromfile(leaf)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        yield config


@pytest.fixture(scope='module')
def model(config: Config) -> nn.Module:
    """The leaf config's model at full size, without pretrained weights."""
    torch.manual_seed(0)
    model = dict(config.model)
    if 'data_preprocessor' in config:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    return MODELS.build(model)
