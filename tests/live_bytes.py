"""How many bytes of tensors live at once, counted operation by operation: no timing, no system."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Count the memory of what operations make, from when they made it until it is freed.

    What an operation makes within itself and frees again is not seen. The way back is seen where
    autograd runs it in the calling thread, as on a CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.now = 0
        self._seen = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        inputs = {
            leaf.untyped_storage()
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor)
        }
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage(), inputs)
        return out

    def _count(self, storage: torch.UntypedStorage, inputs: set) -> None:
        if storage in self._seen or storage in inputs:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size


def peak_of(function: Callable[[], object]) -> int:
    """The most bytes that what a function makes takes at once, in full or in part."""
    with LiveBytes() as counter:
        function()
    return counter.peak
