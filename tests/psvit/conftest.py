"""What the tests of a search share."""

from pathlib import Path

import pytest
from mmengine.config import Config
from search_files import write_search


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digit_scenes: Path) -> Config:
    """A small search over tiny data, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_search(digit_scenes)
