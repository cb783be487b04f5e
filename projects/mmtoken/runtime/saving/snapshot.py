"""A copy of a checkpoint that training does not change while it is written."""

import copy
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, UntypedStorage

from mmtoken.errors import UserError

_ATOMS = (str, bytes, int, float, bool, type(None))


class _Owed(NamedTuple):
    """A copy that is still to be made."""

    made: UntypedStorage
    tensor: Tensor
    version: int

    def make(self) -> None:
        # As tensors, whose copies leave Python to other threads.
        made, tensor = (
            torch.empty(0, dtype=torch.uint8).set_(storage)
            for storage in (self.made, self.tensor.untyped_storage())
        )
        made.copy_(tensor)
        if self.tensor._version != self.version:
            raise UserError(
                f'a weight of {tuple(self.tensor.shape)} was changed before the optimizer changed '
                'it, while a checkpoint was copied, which is therefore not written; models that '
                'do so need asynchronous=False in default_hooks.checkpoint'
            )


class Snapshot:
    """Copies nested values; the memory of their tensors is kept for the next copy.

    Tensors that share memory do so in the copy, too, so that the file is the same as that of the
    original. With a GPU the memory is pinned and the copies are only begun: they come before
    whatever the GPU is given later. Without one, copies of what nobody changes for a while can be
    left to the thread that writes. Our design.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[UntypedStorage]] = defaultdict(list)
        self._memo: dict[int, Any] = {}
        self._copied: dict[int, UntypedStorage] = {}
        self._done: torch.cuda.Event | None = None
        self._unchanged: set[int] = set()
        self._owed: list[_Owed] = []
        self._paid = threading.Event()
        self._paid.set()

    def take(self, value: Any, unchanged: Iterable[Tensor] = ()) -> Any:
        """Copy a value.

        Args:
            value: Containers, tensors, and what `copy.deepcopy` copies.
            unchanged: Tensors of it that nobody changes before :meth:`wait` returns; without a GPU
                they are copied by :meth:`ready`.

        Returns:
            The copy, to be used after :meth:`ready` and before the next one is taken.
        """
        for storage in self._copied.values():
            self._free[storage.nbytes()].append(storage)
        self._memo, self._copied, self._done, self._owed = {}, {}, None, []
        owing = () if torch.cuda.is_available() else unchanged
        self._unchanged = {
            tensor.untyped_storage()._cdata for tensor in owing if type(tensor.data) is Tensor
        }
        # The original is alive until it returns, so that no identity is given twice.
        taken = self._copy(value)
        self._memo = {}
        if self._owed:
            self._paid.clear()
        if torch.cuda.is_available():
            self._done = torch.cuda.Event()
            self._done.record()
        return taken

    def ready(self) -> None:
        """Make the copies that are owed, and wait for the others.

        Raises:
            UserError: If what was to be copied has been changed, where torch counts that: it does
                not see what goes through `.data`.
        """
        try:
            if self._done is not None:
                self._done.synchronize()
            for owed in self._owed:
                owed.make()
        finally:
            self._owed = []
            self._paid.set()

    def wait(self) -> None:
        """Wait until everything may be changed: another thread has called :meth:`ready`."""
        self._paid.wait()

    def _copy(self, value: Any) -> Any:
        if isinstance(value, _ATOMS):
            return value
        if id(value) in self._memo:
            return self._memo[id(value)]
        if type(value) is Tensor and _is_plain(value):
            made = self._tensor(value)
        elif isinstance(value, dict):
            # Keeps attributes, such as the versions of modules beside a state dict.
            made = self._memo[id(value)] = copy.copy(value)
            for key, item in value.items():
                made[key] = self._copy(item)
        elif type(value) is list:
            made = self._memo[id(value)] = []
            made.extend(map(self._copy, value))
        elif type(value) is tuple:
            made = tuple(map(self._copy, value))
        else:
            made = copy.deepcopy(value, self._memo)
        self._memo[id(value)] = made
        return made

    def _tensor(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._copied:
            made = self._copied[storage._cdata] = self._buffer(storage.nbytes())
            if storage._cdata in self._unchanged:
                self._owed.append(_Owed(made, tensor, tensor._version))
            else:
                made.copy_(storage, non_blocking=True)
        made = torch.empty(0, dtype=tensor.dtype)
        made.set_(
            self._copied[storage._cdata], tensor.storage_offset(), tensor.shape, tensor.stride()
        )
        return made.requires_grad_(tensor.requires_grad)

    def _buffer(self, size: int) -> UntypedStorage:
        free = self._free[size]
        if free:
            return free.pop()
        pinned = torch.cuda.is_available()
        return torch.empty(size, dtype=torch.uint8, pin_memory=pinned).untyped_storage()


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is numbers in memory and nothing else."""
    return (
        tensor.layout is torch.strided
        and tensor.device.type in ('cpu', 'cuda')
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg() or vars(tensor))
    )
