"""Keep a runner from copying a model to the processor where a snapshot does so faster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mmengine.runner
import mmengine.runner.runner
import torch

# By which names the runners copy to the processor.
_COPYING = (
    (mmengine.runner.runner, 'weights_to_cpu'),
    (mmengine.runner.runner, 'apply_to'),
    (mmengine.runner, 'weights_to_cpu'),
)


@contextmanager
def left_on_device() -> Iterator[None]:
    """Let mmengine's runners save tensors where they are.

    Tensor by tensor into new memory, as mmengine copies them, takes several times as long as into
    pinned memory that is there, and the GPU waits for each one.
    """
    if not torch.cuda.is_available():
        yield
        return
    before = [(module, name, getattr(module, name)) for module, name in _COPYING]
    for module, name in _COPYING:
        setattr(module, name, _same)
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def _same(value: Any, *args: Any) -> Any:
    return value
