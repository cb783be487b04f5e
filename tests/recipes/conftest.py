"""The folder in which the recipes of a document are run, one after the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from documents import find_blocks
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from workplace import lay_out


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all recipes of a test module find and leave behind."""
    folder = tmp_path_factory.mktemp('workplace')
    lay_out(folder)
    return folder


@pytest.fixture
def workplace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, as the current one; CIFAR's checksums are not ours to match."""
    from mmpretrain.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, '_check_integrity', lambda self: True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope='module')
def own_model(folder) -> None:
    """What the README calls my_config.py and my_checkpoint.pth: its config of pets, random."""
    recipe = next(block for block in find_blocks('python') if 'data/pets' in block.text)
    config = folder / 'my_config.py'
    config.write_text(recipe.text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict()}, folder / 'my_checkpoint.pth')
