"""The folder in which the recipes of a document are run, one after the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
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
