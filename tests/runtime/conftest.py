"""What tests of several files here share."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def hear_ctrl_c() -> Iterator[None]:
    """Answer SIGINT as Python does, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
