"""Where mmengine's two train loops are in their data, and how they go on from there."""

from __future__ import annotations

from typing import Any

from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner, loops
from torch.utils.data import DataLoader

from mmtoken.runtime.resuming.random_states import capture, restore, restore_all
from mmtoken.runtime.resuming.resumable_loader import can_resume, make_resumable


def follow(loop: BaseLoop) -> Follower:
    """Keep an eye on a train loop from here on.

    Args:
        loop: Before it runs; it and its loader are changed in place, and train as before.

    Returns:
        What knows the loop's place.
    """
    if can_resume(loop.dataloader):
        if getattr(type(loop), 'run_epoch', None) is EpochBasedTrainLoop.run_epoch:
            return EpochFollower(loop)
        if type(loop).run is IterBasedTrainLoop.run:
            return IterFollower(loop)
    return Follower(loop)


class Follower:
    """Of a loop or loader that nothing is known of: its place in the data is lost.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: BaseLoop) -> None:
        self.loop = loop

    def position(self) -> dict | None:
        """The place in the data, as plain data."""
        return None

    def before_train(self, runner: Runner, state: dict) -> None:
        """Go on from a process's state, before training does.

        Args:
            runner: The runner, whose counts are restored.
            state: With `generators`, `data`, and whether its validation is `validated`.
        """
        restore_all(state['generators'])
        loader = type(self.loop.dataloader).__name__
        runner.logger.warning(
            f'resume: the place in the data cannot be restored for {type(self.loop).__name__} '
            f'with {loader}, so this run sees other batches than an uninterrupted one'
        )

    def before_train_epoch(self, runner: Runner) -> None:
        """The same, after all hooks of the place of this name."""


class EpochFollower(Follower):
    """Of a loop that counts epochs."""

    def __init__(self, loop: EpochBasedTrainLoop) -> None:
        super().__init__(loop)
        make_resumable(loop.dataloader)
        run_iter = loop.run_iter

        def run_counted(idx: int, data_batch: Any) -> None:
            # The loop counts the batches that it gets, from 0.
            run_iter(idx + loop.dataloader.skipped, data_batch)

        loop.run_iter = run_counted

    def position(self) -> dict:
        """As of `Follower`."""
        return self.loop.dataloader.position()

    def before_train(self, runner: Runner, state: dict) -> None:
        """As of `Follower`."""
        position, generators = state['data'], state['generators']
        self.loop.dataloader.go_on_from(position, generators if position['in_pass'] else None)
        if not position['in_pass']:
            restore_all(generators)
            validate_if_owed(runner, state['validated'], self.loop.epoch, self.loop.max_epochs)

    def before_train_epoch(self, runner: Runner) -> None:
        """Let hooks that switch the augmentation have new workers in the epoch that they do so in,
        and not again in the first epoch of a run that is resumed.
        """
        if self.loop.dataloader.was_restarted:
            switches = [_switch_epoch(hook, runner) for hook in runner.hooks]
            if not any(epoch is not None and epoch < runner.epoch for epoch in switches):
                self.loop.dataloader.start_anew()


class IterFollower(Follower):
    """Of a loop that counts iterations."""

    def __init__(self, loop: IterBasedTrainLoop) -> None:
        super().__init__(loop)
        make_resumable(loop.dataloader)
        self._batches = loop.dataloader_iterator = _EndlessBatches(loop.dataloader_iterator)
        self._state: dict | None = None

    def position(self) -> dict:
        """As of `Follower`."""
        return dict(self.loop.dataloader.position(), passes=self._batches.mmengines._epoch)

    def before_train(self, runner: Runner, state: dict) -> None:
        """Wait for the hooks that set the sampler's epoch."""
        self._state = state

    def before_train_epoch(self, runner: Runner) -> None:
        """As `before_train` of `Follower`."""
        state, self._state = self._state, None
        if state is None:
            return
        self.loop.dataloader.go_on_from(state['data'])
        self._batches.go_on(self.loop.iter, state['data'])
        restore_all(state['generators'])
        validate_if_owed(runner, state['validated'], self.loop.iter, self.loop.max_iters)


class _EndlessBatches:
    """mmengine's endless iterator, which a resumed loop need not advance.

    Args:
        mmengines: That one.
    """

    def __init__(self, mmengines: Any) -> None:
        self.mmengines = mmengines
        self._placed = False
        self._to_advance = 0

    def __iter__(self) -> _EndlessBatches:
        return self

    def __next__(self) -> Any:
        if self._to_advance:
            self._to_advance -= 1
            return None
        return next(self.mmengines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mmengines, name)

    def skip_iter(self, num_iters: int) -> None:
        """Advance, as the loop of OneDL's mmengine asks for.

        Args:
            num_iters: How far.
        """
        if not self._placed:
            self.mmengines.skip_iter(num_iters)

    def go_on(self, iters: int, position: dict) -> None:
        """Stand where the loader goes on from.

        Args:
            iters: How far the loop will ask it to advance.
            position: Of the loader.
        """
        self._placed = True
        # The loop of OpenMMLab's mmengine asks for so many batches, and drops them.
        self._to_advance = 0 if hasattr(self.mmengines, 'skip_iter') else iters
        self.mmengines._epoch = position.get('passes', 0)
        if position['in_pass']:
            self.mmengines._iterator = iter(self.mmengines._dataloader)


def validate_if_owed(runner: Runner, validated: bool, done: int, last: int) -> None:
    """Run the validation that was due after a checkpoint was written, where it did not end.

    Args:
        runner: The runner, about to train.
        validated: Whether it had ended.
        done: Epochs or iterations that are completed.
        last: How many there will be.
    """
    loop = runner.train_loop
    if validated or runner.val_loop is None or done < max(loop.val_begin, 1):
        return
    loop._decide_current_val_interval()
    if done % loop.val_interval == 0 or done == last:
        unit = 'epoch' if isinstance(loop, EpochBasedTrainLoop) else 'iteration'
        runner.logger.info(
            f'resume: the checkpoint was written before the validation after {unit} {done} ended, '
            'which is run now'
        )
        runner.val_loop.run()


def start_lazily() -> None:
    """Let OpenMMLab's loop of iterations start its workers when it runs, as OneDL's does.

    Started when the loop is built, before any hook is asked, they would not tell their states. What
    is drawn for it is drawn when the loop is built, as before.
    """
    eager = loops._InfiniteDataloaderIterator
    if hasattr(eager, 'skip_iter') or hasattr(eager, 'generators_before'):
        return

    class LazyIterator(eager):
        generators_before: dict | None = None

        def __init__(self, dataloader: Any) -> None:
            if not isinstance(dataloader, DataLoader) or dataloader.generator is not None:
                super().__init__(dataloader)
                return
            self._dataloader, self._iterator, self._epoch = dataloader, None, 0
            self.generators_before = capture()
            iter(DataLoader([0]))  # draws what any iterator draws when it is made

        def __next__(self) -> Any:
            if self._iterator is None:
                now = capture()
                restore(self.generators_before)
                self._iterator = iter(self._dataloader)
                restore(now)
            return super().__next__()

    loops._InfiniteDataloaderIterator = LazyIterator


def _switch_epoch(hook: Any, runner: Runner) -> int | None:
    """From which epoch on mmdet's hooks have another augmentation, for which they want workers
    anew; after resuming, each time.
    """
    if hasattr(hook, 'switch_epoch'):
        return hook.switch_epoch
    if hasattr(hook, 'num_last_epochs'):
        return runner.max_epochs - hook.num_last_epochs - 1
    return None
