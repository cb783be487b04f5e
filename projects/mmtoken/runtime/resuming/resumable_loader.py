"""A data loader that knows how far it is, and can go on from there.

A loader's workers draw the random numbers of augmentation, each from generators of its own. Each
batch therefore brings along the states that its worker's generators were left in. To go on at batch
k with W workers, the order of the data is followed from its beginning, without loading, to batch
k - k % W, the first of a round of all workers; each worker gets the state that it had before its
batch of that round, and k % W batches are loaded again and dropped. So each worker keeps its
number and its random numbers. Nothing is drawn or reordered for this: a run that is never
interrupted is the one that it would be without. Our design.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from mmtoken.runtime.resuming.loader_parts import (
    Accompanied,
    BeginWith,
    Indices,
    numbers_of,
    seed_of,
    with_seed,
)
from mmtoken.runtime.resuming.random_states import States, capture, restore, restore_all


def can_resume(loader: Any) -> bool:
    """Whether the position in a loader's data can be told and restored.

    It cannot where data are no list, where workers overtake one another, or where the order is
    drawn from a generator of the loader's own.

    Args:
        loader: Of whatever kind.
    """
    return (
        isinstance(loader, DataLoader)
        and not isinstance(loader.dataset, IterableDataset)
        and getattr(loader, 'in_order', True)
        and loader.generator is None
        and getattr(loader.sampler, 'generator', None) is None
    )


def make_resumable(loader: DataLoader) -> None:
    """Let a loader know how far it is.

    It stays the object that it is, since hooks and loops hold it and set its attributes.

    Args:
        loader: One that :func:`can_resume`; changed in place.
    """
    if not isinstance(loader, ResumableLoader):
        kind = type(loader)
        bases = (ResumableLoader,) if kind is DataLoader else (ResumableLoader, kind)
        loader.__class__ = type(kind.__name__, bases, {})
        loader.begin()


class ResumableLoader(DataLoader):
    """What a loader becomes.

    Attributes:
        skipped: Batches of the present pass that were handed out before the run was resumed.
    """

    def begin(self) -> None:
        """Stand before the first pass."""
        self.skipped = 0
        self._handed_out = 0
        self._in_pass = False
        # Of the main process: before the workers were started, and before the present pass of
        # workers that went on from an earlier one.
        self._created: States | None = None
        self._began: States | None = None
        # The last two states of each worker.
        self._worker_states: list[deque[States]] = []
        self._pending: tuple[dict, States | None] | None = None
        self._indices: Indices | None = None

    def __iter__(self) -> Iterator:
        pending, self._pending = self._pending, None
        if pending is None:
            return self._pass_on(self._next_pass())
        saved, states = pending
        before = capture()
        iterator = self._resumed(saved)
        if states is None:
            restore(before)
        else:
            restore_all(states)
        if not saved['in_pass']:
            return self._pass_on(self._next_pass())
        self._handed_out = self.skipped = saved['handed_out']
        return self._pass_on(iterator)

    def position(self) -> dict:
        """How far it is, as plain data.

        Returns:
            What :meth:`go_on_from` takes: what it has been told, as long as nothing was asked for
            since.
        """
        if self._pending is not None:
            return self._pending[0]
        return dict(
            in_pass=self._in_pass,
            handed_out=self._handed_out,
            created=self._created,
            began=self._began,
            workers=[list(states) for states in self._worker_states],
            seeds=[numbers_of(sampler) for sampler in self._samplers()],
            worker_seed=seed_of(self.worker_init_fn),
            waiting=self._waiting,
        )

    def go_on_from(self, position: dict, states: States | None = None) -> None:
        """Let the next iterator go on from a position.

        Args:
            position: Of :meth:`position`, of this run or an earlier one.
            states: Of the main process's generators, which they are put into when that iterator is
                there; by default they stay as they are.
        """
        for sampler, numbers in zip(self._samplers(), position['seeds'], strict=False):
            for name, value in numbers.items():
                setattr(sampler, name, value)
        self.worker_init_fn = with_seed(self.worker_init_fn, position['worker_seed'])
        if position['in_pass'] or self._keeps_workers and position['created']:
            self._pending = position, states
            # As while workers wait for the next pass: a hook that has them started anew says so
            # by removing it.
            self._iterator = _WAITING if self._keeps_workers else None

    def suits(self, position: dict) -> bool:
        """Whether as many workers wait for the next pass as did for that of a position.

        Args:
            position: Of :meth:`position`, between two passes.
        """
        return position['created'] is None or position['waiting'] == self._waiting

    @property
    def was_restarted(self) -> bool:
        """Whether a hook has asked for new workers since :meth:`go_on_from`."""
        return self._pending is not None and self._keeps_workers and self._iterator is None

    def start_anew(self) -> None:
        """Forget the workers that :meth:`go_on_from` told of, between two passes."""
        if self._pending is not None and not self._pending[0]['in_pass']:
            self._pending = None

    @property
    def _keeps_workers(self) -> bool:
        return self.persistent_workers and self.num_workers > 0

    @property
    def _waiting(self) -> int:
        """How many workers wait between two passes."""
        return self.num_workers if self._keeps_workers else 0

    @property
    def _index_sampler(self) -> Any:
        return super()._index_sampler if self._indices is None else self._indices

    def _samplers(self) -> list:
        inner = getattr(self.batch_sampler, 'sampler', None)
        found = [each for each in (self.sampler, self.batch_sampler, inner) if each is not None]
        return list({id(each): each for each in found}.values())

    def _next_pass(self) -> Iterator:
        """torch's iterator of the next pass."""
        states, alive = capture(), self._keeps_workers and self._iterator is not None
        with self._accompanied([]):
            iterator = super().__iter__()
        if alive:
            self._began = states
        else:
            self._created, self._began = states, None
            self._worker_states = [deque(maxlen=2) for _ in range(self.num_workers)]
        self._handed_out = self.skipped = 0
        return iterator

    def _resumed(self, saved: dict) -> Iterator:
        """torch's iterator at a position; the main process's generators are left anywhere."""
        self._created, self._began = saved['created'], saved['began']
        count = max(self.num_workers, 1)
        again = saved['handed_out'] % count if saved['in_pass'] and self.num_workers else 0
        workers = saved['workers'] or [[]] * self.num_workers
        states = [_state_before(kept, worker < again) for worker, kept in enumerate(workers)]
        self._worker_states = [deque([s] if s else [], maxlen=2) for s in states]
        self._iterator = None
        self._indices = Indices(super()._index_sampler)
        # A pass of workers that went on from an earlier one begins when they are there.
        later = not saved['in_pass'] or saved['began'] is not None
        skip = saved['handed_out'] - again if saved['in_pass'] else 0
        self._indices.skip, self._indices.closed = skip, later
        restore(saved['created'])
        try:
            with self._accompanied(states):
                iterator = super().__iter__()
            self._indices.closed = False
            if later and saved['in_pass']:
                restore(saved['began'])
                iterator = super().__iter__()
            if not self.num_workers:
                self._indices.advance()
        finally:
            self._indices = None
        for worker in range(again):
            self._worker_states[worker].append(next(iterator)[1])
        return iterator

    def _pass_on(self, iterator: Iterator) -> Iterator:
        """The batches, without what they bring along."""
        # No generator: hooks see the pass begin before its first batch is asked for.
        return _Pass(self, iterator)

    def _note(self, batch: Any) -> Any:
        """Count a batch, and keep what it brings along."""
        if self.num_workers:
            batch, states = batch
            self._worker_states[self._handed_out % self.num_workers].append(states)
        self._handed_out += 1
        return batch

    @contextmanager
    def _accompanied(self, states: list[States | None]) -> Iterator[None]:
        """Have workers that are started within begin with states, and send theirs."""
        if not self.num_workers:
            yield
            return
        collate, init = self.collate_fn, self.worker_init_fn
        self.collate_fn = Accompanied(collate)
        if states:
            self.worker_init_fn = BeginWith(init, states)
        try:
            yield
        finally:
            self.collate_fn, self.worker_init_fn = collate, init


_WAITING = object()


class _Pass:
    """One pass over a loader's batches."""

    def __init__(self, loader: Any, iterator: Iterator) -> None:
        self._loader, self._batches = loader, iterator
        loader._in_pass = True

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self._loader._in_pass = False
            raise
        return self._loader._note(batch)


def _state_before(kept: list[States], loads_again: bool) -> States | None:
    """A worker's state before the batch that it begins with; None where that is its first."""
    place = 2 if loads_again else 1
    return kept[-place] if len(kept) >= place else None
