"""Forms of layers whose gradients can be differentiated, and are quickly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch.nn.attention import SDPBackend, sdpa_kernel

_EXPECTED = ContextVar('second gradients are expected', default=False)


@contextmanager
def expecting_second_gradients() -> Iterator[None]:
    """Inside, what layers compute is to be differentiated twice.

    No fused attention kernel can be, so attention is composed of operations that can; other layers
    ask `second_gradients_expected`.
    """
    before = _EXPECTED.set(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        _EXPECTED.reset(before)


def second_gradients_expected() -> bool:
    """Whether a layer that runs now had better be quick to differentiate twice."""
    return _EXPECTED.get()
