"""The types and functions that a checkpoint may name, so that torch's safe unpickler reads it."""

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from mmtoken.runtime.plain_data import DATA, FILLED


def _buffer_method(owner: type, name: str) -> Callable:
    """Stands in for `getattr`, by which log buffers name their own methods in a checkpoint.

    Raises:
        UnpicklingError: If anything but a log buffer's public method is asked for.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(f'a checkpoint may not ask for the attribute {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)


ALLOWED: list[Any] = [
    HistoryBuffer,
    ConfigDict,
    (_buffer_method, 'builtins.getattr'),
    *((stand_in, name) for name, stand_in in DATA.items()),
    # What is filled in has to be listed; a name without a module is none that a file can ask for.
    *((filled, filled.__name__) for filled in FILLED),
]


def allow_checkpoints() -> None:
    """Register them with torch's safe unpickler.

    To be called before each load: OneDL's mmengine allows the same ones for the time of a load of
    its own and afterwards forbids them again.
    """
    torch.serialization.add_safe_globals(ALLOWED)


def why_unreadable(file: Path) -> str | None:
    """Say what our loader will refuse a checkpoint for that was just written.

    Args:
        file: The checkpoint, of torch's newer format.

    Returns:
        What it refuses; None where it reads the file.
    """
    allow_checkpoints()
    refused = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    if refused:
        return ', '.join(sorted(refused))
    try:
        torch.load(file, map_location='cpu', mmap=True, weights_only=True)
    except (OSError, MemoryError):  # No fault of the file.
        pass
    except Exception as error:  # torch answers what it refuses with whatever breaks first.
        return the_cause(error)
    return None


def the_cause(error: BaseException) -> str:
    """The type of an error and the first sentence of what torch found."""
    # The safe unpickler says first how to do without it.
    message = str(error)
    for mark in ('WeightsUnpickler error: ', 'from a trusted source.'):
        message = message.partition(mark)[2] or message
    sentence = message.strip().partition('\n')[0].partition('. ')[0]
    return f'{type(error).__name__}: {sentence}' if sentence else type(error).__name__
