"""What a pickle may ask for, since it makes data of it and executes nothing.

A type that is called or filled in by a file must stand that from anybody. NumPy's own do not: a
kind of numbers can be told that it is a pointer, and an array can be laid over any bytes. So what
files call `numpy.dtype` and `numpy.ndarray` is answered by functions that make numbers and nothing
else. Our design.
"""

import collections
import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

_MULTIARRAY = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
# As NumPy writes them, which nothing can change: their own `__setstate__` leaves them as they are.
_NAMES = 'b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16'
KINDS = {name: np.dtype(name) for name in _NAMES}


class ArrayType:
    """Stands for `numpy.ndarray`, to be named and not to be called."""

    def __init__(self, *_: Any) -> None:
        raise UnpicklingError('an array is made by a function of numpy, not by its type')


class TextKind:
    """Stands for the kind of a NumPy text, of which only scalars are read."""

    def __setstate__(self, state: Sequence) -> None:
        self.order = state[1]


def kind(name: str, *_: Any) -> np.dtype | TextKind:
    """Stands for `numpy.dtype`.

    Args:
        name: As NumPy writes it, such as 'f8'.
        *_: How NumPy would copy it.

    Raises:
        UnpicklingError: If it is none of numbers or of a text.
    """
    if name in KINDS:
        return KINDS[name]
    if isinstance(name, str) and name[:1] == 'U' and name[1:].isdecimal():
        return TextKind()
    raise UnpicklingError(f'it asks for a NumPy array of {name!r}, and only numbers are read')


def empty_array(*_: Any) -> np.ndarray:
    """Stands for NumPy's `_reconstruct`: an array that is filled next."""
    return np.empty(0, np.int8)


def scalar(of: np.dtype | TextKind, content: bytes) -> Any:
    """Stands for NumPy's function of that name.

    Args:
        of: A kind.
        content: The bytes of one element.
    """
    if isinstance(of, TextKind):
        return np.str_(content.decode('utf-32-be' if of.order == '>' else 'utf-32-le'))
    return _MULTIARRAY.scalar(of, content)


def filled_array(content: Any, of: np.dtype, shape: tuple, order: str) -> np.ndarray:
    """Stands for NumPy's `_frombuffer`, which newer pickles name.

    Args:
        content: The bytes.
        of: The kind of its elements.
        shape: Its shape.
        order: In which they stand, 'C' or 'F'.

    Raises:
        UnpicklingError: If they are no numbers.
    """
    if not isinstance(of, np.dtype):
        raise UnpicklingError(f'it asks for a NumPy array of {of!r}, and only numbers are read')
    return np.frombuffer(content, of).reshape(shape, order=order)


def path(*parts: str) -> Path:
    """Stands for the types of `pathlib`."""
    return Path(*parts)


def no_bytes() -> bytes:
    """Stands for `bytes`, which older protocols call where there are none."""
    return b''


# What stands for what a file names.
DATA: dict[str, Callable] = {
    'builtins.bytes': no_bytes,
    'builtins.frozenset': frozenset,
    'builtins.range': range,
    'builtins.slice': slice,
    **{
        f'datetime.{name}': getattr(datetime, name)
        for name in ('date', 'datetime', 'time', 'timedelta', 'timezone')
    },
    **{
        f'{module}.{name}': path
        for module in ('pathlib', 'pathlib._local')
        for name in ('PosixPath', 'PurePosixPath')
    },
    'numpy.dtype': kind,
    'numpy.ndarray': ArrayType,
    **{
        f'numpy.{core}.{name}': function
        for core in ('core', '_core')
        for name, function in {
            'multiarray._reconstruct': empty_array,
            'multiarray.scalar': scalar,
            'numeric._frombuffer': filled_array,
        }.items()
    },
}
# Types of what the above make, which a file fills in and must not name.
FILLED = (np.ndarray, TextKind, *dict.fromkeys(map(type, KINDS.values())))
# What torch's unpickler cannot fill, and Python's can.
CONTAINERS: dict[str, Callable] = {
    f'{type_.__module__}.{type_.__name__}': type_
    for type_ in (
        bool, bytearray, complex, dict, float, int, list, set, str, tuple,
        collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque,
    )
}  # fmt: skip
