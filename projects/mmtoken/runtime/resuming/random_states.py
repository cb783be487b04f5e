"""The states of the global random generators as plain data, taken and put back."""

from __future__ import annotations

import random
from array import array
from typing import Any

import numpy as np
import torch

States = dict[str, Any]
# How a Mersenne twister's 624 words are packed; Python hands them out as a tuple, which costs more
# to send than all else.
_WORDS = 'I'


def capture() -> States:
    """Take the states of Python's, NumPy's and torch's generators for the CPU.

    Returns:
        Bytes and numbers by generator, which torch's safe unpickler reads.
    """
    version, words, gauss = random.getstate()
    kind, key, position, has_gauss, cached = np.random.get_state()
    return dict(
        python=[version, array(_WORDS, words).tobytes(), gauss],
        numpy=[kind, key.tobytes(), position, has_gauss, cached],
        torch=torch.get_rng_state().numpy().tobytes(),
    )


def restore(states: States) -> None:
    """Put back what :func:`capture` took.

    Args:
        states: Of the generators.
    """
    version, words, gauss = states['python']
    random.setstate((version, tuple(array(_WORDS, words)), gauss))
    kind, key, *rest = states['numpy']
    np.random.set_state((kind, np.frombuffer(key, dtype=np.uint32), *rest))
    torch.set_rng_state(_tensor(states['torch']))


def capture_all() -> States:
    """As :func:`capture`, with the generators of the GPUs that this process sees."""
    gpus = []
    # Asking would start CUDA, which a process without it would then have to pay for.
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        gpus = [state.cpu().numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return dict(capture(), cuda=gpus)


def restore_all(states: States) -> None:
    """Put back what :func:`capture_all` took, of as many GPUs as there are now.

    Args:
        states: Of the generators.
    """
    restore(states)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index, state in enumerate(states['cuda'][:there]):
        torch.cuda.set_rng_state(_tensor(state), index)


def _tensor(state: bytes) -> torch.Tensor:
    # A copy: torch warns of memory that it must not write to.
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)
