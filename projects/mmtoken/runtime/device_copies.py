"""Keep a runner from copying a model to the processor where a snapshot does so faster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import mmengine.runner
import mmengine.runner.runner
import torch


@contextmanager
def left_on_device() -> Iterator[None]:
    """Let mmengine's runners save tensors where they are.

    Tensor by tensor into new memory, as mmengine copies them, takes several times as long as into
    pinned memory that is there, and the GPU waits for each one.
    """
    if not torch.cuda.is_available():
        yield
        return
    with (
        mock.patch.object(mmengine.runner.runner, 'weights_to_cpu', _same),
        mock.patch.object(mmengine.runner.runner, 'apply_to', _same),
        mock.patch.object(mmengine.runner, 'weights_to_cpu', _same),
    ):
        yield


def _same(value: Any, *args: Any) -> Any:
    return value
