"""End a run that is asked to, with a checkpoint of the step that it has come to."""

import functools
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from os import path as osp
from types import FrameType
from typing import Any, NoReturn

from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from mmtoken.runtime.guards.agreement import Agreement
from mmtoken.runtime.guards.guard import Guard
from mmtoken.runtime.guards.worker_signals import spare_workers
from mmtoken.runtime.saving.checkpoint_hook import ReliableCheckpointHook

# Of a scheduler that takes the machine back, of one that says so before, and of Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@HOOKS.register_module()
class SignalHook(Guard):
    """Save at the next step after SIGTERM, SIGUSR1 or SIGINT, and end the run.

    The exit code is 128 and the signal's number, as of a program that the signal ends. A second
    signal does so at once; under torchrun and Slurm, where a process may get each twice, a third
    one. A signal to one of several processes ends all of them after the same step. A validation is
    left when a checkpoint of its step stands; else one is saved before, or, where averaged weights
    are validated, after it. Data loading processes ignore the signals that they get with the run.

    Raises:
        SystemExit: While training, when a signal was received.
    """

    # After what changes a run's state at the end of a step, before checkpoints.
    priority = 85

    def __init__(self) -> None:
        # Before the loop is built, with which mmengine 0.10.7 starts the workers.
        spare_workers()
        self.received = 0
        self._before: dict[int, Any] = {}
        self._repeated = False
        self._agreement: Agreement | None = None
        self._agreed = 0
        self._polls = 0

    def before_run(self, runner: Runner) -> None:
        """Have the training loop listen for signals as long as it runs, however it ends."""
        # What the terminal sends to all processes torchrun sends once more to those it started, and
        # what Slurm sends to all of a job its batch script hands on.
        self._repeated = (
            'TORCHELASTIC_RUN_ID' in os.environ or runner.cfg.get('launcher') == 'slurm'
        )
        loop = runner._train_loop
        if isinstance(loop, BaseLoop) and getattr(loop.run, 'listener', None) is not self:
            loop.run = self._listening(loop.run)

    def before_train(self, runner: Runner) -> None:
        """Get ready to agree with the other processes."""
        self._agreement = Agreement()

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Save and end where a signal came, within an epoch."""
        if not self._asked():
            return
        by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
        if by_iteration or batch_idx + 1 < len(runner.train_dataloader):
            self._end(runner, runner.epoch, runner.iter + 1, epoch_ends=False)

    def after_train_epoch(self, runner: Runner) -> None:
        """The same with the last step of an epoch, when the epoch's end has been dealt with."""
        if self._agreed and not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._end(runner, runner.epoch + 1, runner.iter, epoch_ends=True)

    def before_val_epoch(self, runner: Runner) -> None:
        """Find out how many steps of the validation all processes have."""
        if self._agreement is not None:
            try:
                steps = len(runner.val_loop.dataloader)
            except TypeError:  # A data set of unknown length.
                steps = 0
            self._polls = self._agreement.least(steps)

    def after_val_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Leave a validation where that loses nothing."""
        if self._agreement is not None and batch_idx < self._polls and self._asked():
            # Its weights are in the model's place, and the model's in its.
            averaged = any(isinstance(hook, EMAHook) for hook in runner.hooks)
            if not averaged or self._stands(runner):
                self._end_in_validation(runner)

    def after_val(self, runner: Runner) -> None:
        """Save and end after a validation that could not be left."""
        if self._agreed:
            self._end_in_validation(runner)

    def after_train(self, runner: Runner) -> None:
        """Take leave of the other processes."""
        self._agreement.close()

    def _asked(self) -> bool:
        """Whether any process has received a signal: the same answer in all of them."""
        self._agreed = self._agreed or self._agreement.largest_of_last(self.received)
        return bool(self._agreed)

    def _end_in_validation(self, runner: Runner) -> NoReturn:
        epoch_ends = not isinstance(runner.train_loop, IterBasedTrainLoop)
        self._end(runner, runner.epoch, runner.iter, epoch_ends)

    def _end(self, runner: Runner, epoch: int, iteration: int, epoch_ends: bool) -> NoReturn:
        hook = _checkpoint_hook(runner)
        if hook.saved_at == (epoch, iteration):
            hook.finish()
        else:
            hook.save_now(runner, epoch, iteration, epoch_ends)
        runner.logger.warning(
            f'{signal.Signals(self._agreed).name}: the run ends after iteration {iteration}, which '
            f'{hook.last_ckpt} holds; {_command()}'
        )
        raise SystemExit(128 + self._agreed)

    def _stands(self, runner: Runner) -> bool:
        """Whether a checkpoint of this step was saved."""
        return _checkpoint_hook(runner).saved_at == (runner.epoch, runner.iter)

    def _listening(self, run: Callable[[], Any]) -> Callable[[], Any]:
        @functools.wraps(run)
        def listening() -> Any:
            self._listen()
            try:
                return run()
            finally:
                self._restore()
                self._agreement = None

        listening.listener = self
        return listening

    def _listen(self) -> None:
        """Take over the signals that are not ignored, as SIGINT is under nohup."""
        self.received = self._agreed = 0
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._receive)

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; another one after it finds what was there before us."""
        if not self.received:
            self.received = number
            if os.environ.get('LOCAL_RANK', '0') == '0':
                # Not by print, which this may have interrupted.
                name = signal.Signals(number).name
                words = f'\n{name}: the run saves and ends at the next step; again ends it at once'
                os.write(2, f'{words}\n'.encode())
            if self._repeated:
                return
        self._restore()


def _checkpoint_hook(runner: Runner) -> ReliableCheckpointHook:
    """The run's own hook, or where it has none one that saves as mmengine's, or beside its log."""
    found = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if isinstance(found, ReliableCheckpointHook):
        return found
    if found is None:
        hook = ReliableCheckpointHook(by_epoch=False)
    else:
        # To what is set it adds the last part of the work dir, and so will ours.
        folder = osp.dirname(found.out_dir) if found.out_dir != runner.work_dir else None
        hook = ReliableCheckpointHook(
            by_epoch=found.by_epoch,
            max_keep_ckpts=found.max_keep_ckpts,
            out_dir=folder,
            filename_tmpl=found.filename_tmpl,
            backend_args=found.backend_args,
        )
    hook.before_train(runner)
    # It takes the last checkpoint for that of this step, and the list of the others away.
    hook.saved_at = None
    if hook.max_keep_ckpts > 0:
        runner.message_hub.update_info('keep_ckpt_ids', list(hook.keep_ckpt_ids))
    return hook


def _command() -> str:
    """How to go on."""
    plain = 'TORCHELASTIC_RUN_ID' not in os.environ and sys.argv[0].endswith('train.py')
    if plain and not any(word.startswith('--resume') for word in sys.argv):
        return f'go on with: {shlex.join(["python", *sys.argv, "--resume"])}'
    return 'the same command with --resume goes on from there'
