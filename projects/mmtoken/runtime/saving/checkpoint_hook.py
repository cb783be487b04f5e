"""Checkpoints that a killed run always has: the old one goes when the new one stands."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain
from os import path as osp
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from mmtoken.errors import UserError
from mmtoken.runtime.guards.agreement import Agreement
from mmtoken.runtime.saving.atomic_saving import collect_saves, is_local
from mmtoken.runtime.saving.background_writer import BackgroundWriter, wait_for_writes
from mmtoken.runtime.saving.device_copies import left_on_device
from mmtoken.runtime.saving.optimizers import changed_by, optimizers_of
from mmtoken.runtime.saving.save_job import Removals, SaveJob, is_part_of_folder
from mmtoken.runtime.saving.snapshot import Snapshot

# Of a checkpoint's message hub: files that it replaces, which a killed run may have left.
REPLACED = 'replaced_ckpts'


@HOOKS.register_module()
class ReliableCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, in an order in which nothing is lost, and while training goes on.

    A checkpoint is written beside its place and renamed (`atomic_saving`), then recorded as the
    last one, and only then those that it replaces are removed: `max_keep_ckpts=1` is safe. An old
    best checkpoint goes when the new one stands, and the one that refers to it. If the first of
    several processes cannot write, all of them end.

    Args:
        *args: Those of mmengine's hook, which it documents.
        asynchronous: Whether training goes on while a checkpoint is written, from a copy in the
            processor's memory (as large as the file). On the processor the trained weights and
            the optimizer's states are copied while the next iteration runs, which waits for it
            before its step; a model that changes trained weights itself meanwhile ends the run. At
            most one is written at a time: the next one waits, as the end of the run does. An error
            ends the run at the next iteration. The files of several processes (sharded FSDP) are
            written at once all the same.
        safetensors: Whether the weights alone are also written as `.safetensors` beside the best
            checkpoints, or without `save_best` beside each; they are removed together.
        **kwargs: Those of mmengine's hook.

    Raises:
        UserError: While training, if a checkpoint cannot be written; the files before it are kept.
            Before, if an `out_dir` on another machine is to have what only files of this one can.
    """

    def __init__(
        self, *args: Any, asynchronous: bool = False, safetensors: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.asynchronous = asynchronous
        self.safetensors = safetensors
        # Epochs and iterations that were completed when the last checkpoint was saved.
        self.saved_at: tuple[int, int] | None = None
        self._snapshot = Snapshot()
        self._writer = BackgroundWriter()
        self._agreement: Agreement | None = None
        self._pointer: str | None = None
        self._optimizers: list[Optimizer] = []
        self._handles: list[RemovableHandle] = []

    def before_train(self, runner: Runner) -> None:
        """Find the folder, and in it what a resumed run has left there."""
        wait_for_writes()
        self._agreement = Agreement()
        # A run that broke off may have left copies that nobody makes any more.
        self._snapshot = Snapshot()
        self._remove_handles()
        if self.asynchronous:
            self._optimizers = optimizers_of(runner.optim_wrapper)
            self._handles = [
                optimizer.register_step_pre_hook(self.before_step) for optimizer in self._optimizers
            ]
        # Their paths may be those of another place, from which the folder was moved here.
        kept = runner.message_hub.runtime_info.get('keep_ckpt_ids', [])
        runner.message_hub.pop_info('keep_ckpt_ids', None)
        self._check_place()
        super().before_train(runner)
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._best_here(runner, self.best_ckpt_path)
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = self._best_here(runner, path) if path else None
        last = runner.message_hub.runtime_info.get('last_ckpt')
        resumed = runner.iter > 0 and last and self.file_backend.exists(self._here(last))
        if resumed:
            self.last_ckpt = self._here(last)
            self.saved_at = runner.epoch, runner.iter
        removals = Removals(self.file_backend, self.safetensors)
        if self.max_keep_ckpts > 0:
            # In another run's folder they mean other files.
            self.keep_ckpt_ids = deque(kept if resumed else [])
            self._prune(removals)
        if resumed:
            # What a kill kept from being removed.
            removals.paths += map(self._here, runner.message_hub.runtime_info.get(REPLACED, []))
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        self._finish(SaveJob(dict.fromkeys(map(Path, filter(None, best))), removals))

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Save where it is time, and end the run where a write has failed since."""
        if self.asynchronous:
            failed = self._agreement.largest_of_last(int(self._writer.failed))
            if failed:
                self.finish()
        super().after_train_iter(runner, *args, **kwargs)

    def before_step(self, *_: Any) -> None:
        """Wait until the optimizer may change weights: they are copied."""
        self._snapshot.wait()

    def before_val(self, runner: Runner) -> None:
        """Wait until weights may be changed: averages of them may take their place."""
        self._snapshot.wait()

    before_test = before_val

    def after_train(self, runner: Runner) -> None:
        """Wait for what is being written, and publish."""
        self.finish()
        self._remove_handles()
        # mmengine would publish best checkpoints that no validation has found.
        paths = getattr(self, 'best_ckpt_path_dict', {})
        self.best_ckpt_path_dict = {key: path for key, path in paths.items() if path}
        self._together(partial(super().after_train, runner))
        self._agreement.close()

    def save_now(self, runner: Runner, epoch: int, iteration: int, epoch_ends: bool) -> str:
        """Save a checkpoint at any time, which counts among those that are kept.

        Args:
            runner: The runner.
            epoch: Epochs that are completed.
            iteration: Iterations that are completed.
            epoch_ends: Whether the last one of them was the last one of an epoch.

        Returns:
            Its path. Within an epoch of a hook that counts epochs it is called by its iteration.
        """
        step = iteration
        if self.by_epoch:
            step = epoch if epoch_ends else f'iter_{iteration}.pth'
        with self._transaction(runner, epoch, iteration):
            meta = dict(epoch=epoch, iter=iteration)
            self._save_checkpoint_with_step(runner, step, meta)
        self.finish()
        return self.last_ckpt

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            UserError: In all processes, if it could not be written.
        """
        self._together(self._writer.wait)

    def _save_checkpoint(self, runner: Runner) -> None:
        done = (runner.epoch + 1, runner.iter) if self.by_epoch else (runner.epoch, runner.iter + 1)
        with self._transaction(runner, *done):
            super()._save_checkpoint(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if self.save_best:
            with self._transaction(runner, runner.epoch, runner.iter):
                super()._save_best_checkpoint(runner, metrics)

    def _save_checkpoint_with_step(self, runner: Runner, step: int | str, meta: dict) -> None:
        """Save, and list what it replaces; within a transaction."""
        if self.max_keep_ckpts > 0:
            kept = [other for other in self.keep_ckpt_ids if other != step]
            self.keep_ckpt_ids = deque([*kept, step])
            self._prune(self.file_backend)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        replaced = [osp.basename(path) for path in self.file_backend.paths]
        runner.message_hub.update_info(REPLACED, replaced)
        name = self._name(step)
        self.last_ckpt = self._pointer = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )

    @contextmanager
    def _transaction(self, runner: Runner, epoch: int, iteration: int) -> Iterator[None]:
        """Hold back what is saved and removed within, and then do it in a safe order."""
        backend = self.file_backend
        removals = self.file_backend = Removals(backend, self.safetensors)
        self._pointer = None
        try:
            with collect_saves() as saves, left_on_device() if self.asynchronous else nullcontext():
                yield
        except Exception as error:  # Of a hook, or of a file that is written on another machine.
            self._agreement.raise_together(error)
        finally:
            self.file_backend = backend
        for checkpoint in saves.values():
            # The runner of strategies counts one too many after a validation.
            checkpoint['meta'].update(epoch=epoch, iter=iteration)
        if self._pointer is not None:
            self.saved_at = epoch, iteration
        job = SaveJob(saves, removals, Path(runner.work_dir), self._pointer)
        if self.safetensors:
            job.add_weights(best_only=bool(self.save_best))
        if self.asynchronous and not is_part_of_folder(saves):
            self._together(partial(self._begin, job))
        else:
            self._together(job.write)
            self._finish(job)

    def _check_place(self) -> None:
        """Refuse what only a file of this machine can have."""
        options = [name for name in ('asynchronous', 'safetensors') if getattr(self, name)]
        place = self.out_dir
        if options and place and not is_local(place, self.file_client_args, self.backend_args):
            raise UserError(
                f'default_hooks.checkpoint.out_dir {place!r} is on another machine, for which '
                f'{" and ".join(f"{name}=True" for name in options)} is not made; leave it out, or '
                'name a folder of this machine'
            )

    def _begin(self, job: SaveJob) -> None:
        """Have a copy written while training goes on."""
        if not job or not is_main_process():
            return
        self._writer.wait()
        job.saves = self._snapshot.take(job.saves, chain(*map(changed_by, self._optimizers)))

        def write() -> None:
            self._snapshot.ready()
            job.write()
            job.finish()

        self._writer.start(write)

    def _finish(self, job: SaveJob) -> None:
        """Let the first process record the checkpoint and remove what it replaces."""
        self._together(job.finish if is_main_process() else lambda: None)

    def _together(self, action: Any) -> None:
        """Do something, and raise in every process what one of them could not do."""
        failure = None
        try:
            action()
        except Exception as error:  # Whatever it is, the others would wait.
            failure = error
        self._agreement.raise_together(failure)

    def _prune(self, backend: Any) -> None:
        """Remove the oldest of those that are one too many."""
        while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
            name = self._name(self.keep_ckpt_ids.popleft())
            backend.remove(self.file_backend.join_path(self.out_dir, name))

    def _name(self, step: int | str) -> str:
        """The name of a checkpoint: that of a step, or one that was given for it."""
        return step if isinstance(step, str) else self.filename_tmpl.format(step)

    def _remove_handles(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _best_here(self, runner: Runner, path: str) -> str | None:
        """The best checkpoint of a resumed run; None where it stayed in another folder."""
        here = self._here(path)
        if self.file_backend.exists(here):
            return here
        runner.logger.warning(
            f'resume: the best checkpoint so far, {path}, is not in this folder; it stays where it '
            'is, and one is saved here when a better model is found'
        )
        return None

    def _here(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, osp.basename(path))
