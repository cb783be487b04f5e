"""What a `ResumableLoader` puts in the places of a loader's sampler, collate function and worker
start, and the seeds that it reads there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from numbers import Integral
from typing import Any

from mmtoken.runtime.resuming.random_states import States, capture, restore


class Indices:
    """A sampler of indices, or of batches of them, of which the first are skipped once.

    Attributes:
        skip: How many.
        closed: Whether there are none for now.

    Args:
        sampler: Whose they are.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self.skip, self.closed = 0, False
        self._asked: _Stream | None = None

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator:
        self._asked = _Stream(self)
        return self._asked

    def advance(self) -> None:
        """Skip now, in the iterator that was asked for last."""
        self._asked.advance()


class _Stream:
    """What an `Indices` iterates."""

    def __init__(self, owner: Indices) -> None:
        self._owner, self._stream = owner, iter(owner.sampler)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self._owner.closed:
            raise StopIteration
        # torch asks for iterators that it never uses, so it is the one in use that skips.
        self.advance()
        return next(self._stream)

    def advance(self) -> None:
        skip, self._owner.skip = self._owner.skip, 0
        next(islice(self._stream, skip, skip), None)


class Accompanied:
    """A collate function whose batch comes with the states that the worker is left in.

    Args:
        collate: The function.
    """

    def __init__(self, collate: Callable) -> None:
        self._collate = collate

    def __call__(self, samples: Any) -> tuple[Any, States]:
        return self._collate(samples), capture()


class BeginWith:
    """A worker's start, after which its generators have the states of an earlier worker.

    Args:
        init: The start, or None.
        states: By worker; None leaves what the start makes.
    """

    def __init__(self, init: Callable | None, states: list[States | None]) -> None:
        self._init, self._states = init, states

    def __call__(self, worker: int) -> None:
        if self._init is not None:
            self._init(worker)
        if self._states[worker] is not None:
            restore(self._states[worker])


def numbers_of(sampler: Any) -> dict[str, int]:
    """What decides the order of a sampler of mmengine's and the libraries'.

    Args:
        sampler: Or a batch sampler.
    """
    found = {name: getattr(sampler, name, None) for name in ('seed', 'epoch')}
    return {name: int(value) for name, value in found.items() if isinstance(value, Integral)}


def seed_of(init: Any) -> int | None:
    """The seed in the start of a worker that mmengine makes of the run's seed.

    Args:
        init: The start.
    """
    return init.keywords.get('seed') if isinstance(init, partial) else None


def with_seed(init: Any, seed: int | None) -> Any:
    """The same start with another seed.

    Args:
        init: The start.
        seed: None leaves it.
    """
    return init if seed is None or seed_of(init) is None else partial(init, seed=seed)
