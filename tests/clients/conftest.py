"""One leaf config after the other with its checkpoint, and a picture to look at."""

from pathlib import Path

import pytest
from leaf_checkpoints import Trained, write_picture, write_trained


@pytest.fixture(scope='module')
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The leaf config that the test's parameter names, and a checkpoint of its model."""
    return write_trained(request.param, tmp_path_factory.mktemp('trained'))


@pytest.fixture(scope='session')
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture file."""
    return write_picture(tmp_path_factory.mktemp('picture') / 'noise.png')
