"""Every backbone, and every variant of it, as the tests of the contract want them."""

import pytest
from backbones import BACKBONES, VARIANTS


@pytest.fixture(params=BACKBONES)
def name(request: pytest.FixtureRequest) -> str:
    """A registered backbone."""
    return request.param


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> dict:
    """Options of a variant."""
    return VARIANTS[request.param]
