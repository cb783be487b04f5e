"""A run that is killed and resumed ends with the weights that it would have ended with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import gather_object, get_rank
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from mmtoken.runtime.guards.guard import Guard
from mmtoken.runtime.resuming.checkpoints import has_checkpoint
from mmtoken.runtime.resuming.early_stopping import restore_stopping, stopping_state
from mmtoken.runtime.resuming.fsdp_optimizers import load_as_torch_does
from mmtoken.runtime.resuming.random_states import capture_all
from mmtoken.runtime.resuming.resumable_loader import (
    ResumableLoader,
    can_resume,
    make_resumable,
)
from mmtoken.runtime.resuming.resumable_loops import Follower, follow, start_lazily
from mmtoken.runtime.resuming.resume_settings import (
    check_settings,
    fit_state,
    settings_of,
    wrappers_of,
)
from mmtoken.unwrap import unwrap

# What a checkpoint has beside what mmengine puts there.
KEY = 'resume'


@HOOKS.register_module()
class ExactResumeHook(Guard):
    """Let checkpoints hold what mmengine's lack, and a resumed run go on exactly: the states of
    all random generators, those of the data loaders' workers too, the place in the data, gradients
    that are being accumulated, and whether the validation after the checkpoint had ended; one that
    had not is run. Nothing is drawn or reordered for it.

    When a run is resumed, its parameters come from the checkpoint alone: nothing is initialized,
    and no file of pre-trained weights is read. mmengine's `FlexibleRunner` has done both before any
    hook is asked.

    Not restored is what augmentations, datasets and hooks of other packages keep beside the global
    generators, such as mmdet's `CachedMosaic`, and models beside their buffers, such as its
    `DynamicRoIHead`.

    Args:
        allow_changed: Whether a run with another number of processes or workers, another batch
            size, also by accumulation, or other data may go on from a checkpoint, inexactly.

    Raises:
        UserError: While a checkpoint is loaded, if these differ and may not.
    """

    # Last: what other hooks draw or restore at the same place comes before.
    priority = 'LOWEST'

    def __init__(self, allow_changed: bool = False) -> None:
        self.allow_changed = allow_changed
        self._follower: Follower | None = None
        self._state: dict | None = None
        self._gathered: list[dict] | None = None
        self._loaded = self._uninitialized = False
        # Whose workers go on from one validation to the next, and draw when they are started.
        self._validation: ResumableLoader | None = None
        # What had been drawn when a validation began, until it has ended.
        self._before_validation: dict | None = None
        self._validating = False
        # Of a validation that hooks are being told of.
        self._metrics: dict | None = None
        start_lazily()
        load_as_torch_does()

    def before_run(self, runner: Runner) -> None:
        """Follow the loop, and see to it that every process is asked before a checkpoint is
        written, which the first one does alone.
        """
        loop = runner._train_loop
        # Testing comes here, too, after training or without one.
        if self._follower is not None or not isinstance(loop, BaseLoop):
            return
        self._follower, save = follow(loop), runner.save_checkpoint
        self._validation = _validation_of(runner)

        def save_checkpoint(*args: Any, **kwargs: Any) -> Any:
            self._gathered = gather_object(self._state_of_process(runner))
            return save(*args, **kwargs)

        runner.save_checkpoint = save_checkpoint
        runner.register_hook(_EndOfValidation(self))
        saved = has_checkpoint(Path(runner.work_dir))
        # A runner of strategies has initialized the model, and loaded the checkpoint, before.
        begins = hasattr(runner, '_init_model_weights')
        if begins and runner._resume and (saved or runner._load_from is not None):
            # An attribute of the model's own, in the way of the class's method.
            unwrap(runner.model).init_weights = _leave_to_the_checkpoint
            self._uninitialized = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put what a resumed run needs into a checkpoint."""
        if self._follower is None:
            return
        gathered, self._gathered = self._gathered, None
        checkpoint[KEY] = dict(
            ranks=gathered or [self._state_of_process(runner)],
            settings=settings_of(runner.train_loop),
            # A checkpoint is written once more when a validation found a better model.
            validated=self._validating and self._before_validation is None,
            stopping=stopping_state(runner, self._metrics),
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take it out again, where the run is resumed and not begun from another's weights."""
        if not runner._resume or not isinstance(runner._train_loop, BaseLoop):
            return
        self._loaded = True
        found = checkpoint.get(KEY)
        if found is None:
            runner.logger.warning(
                'resume: the checkpoint was written without ExactResumeHook, so this run has other '
                'random numbers than an uninterrupted one, and may see the data in another order; '
                'an epoch that was not completed begins anew'
            )
            return
        before, now = found['settings'], settings_of(runner.train_loop)
        changed = check_settings(before, now, self.allow_changed)
        # The file of one of several processes, as of sharded FSDP, has that one's alone.
        self._state = dict(found['ranks'][get_rank() % len(found['ranks'])])
        if changed:
            self._state = fit_state(found['ranks'], get_rank(), before, now)
            runner.logger.warning(
                f'resume: settings have changed ({changed}), which is allowed; this run is not the '
                'one that an uninterrupted one would be'
            )
        elif 'optimizer' not in checkpoint:
            runner.logger.warning(
                'resume: the checkpoint was written without the state of the optimizer, so this '
                'run is not the one that an uninterrupted one would be'
            )
        self._state.update(validated=found['validated'], stopping=found['stopping'])

    def before_train(self, runner: Runner) -> None:
        """Go on from there."""
        if self._uninitialized:
            del unwrap(runner.model).init_weights
            self._uninitialized = False
            if not self._loaded:
                runner._init_model_weights()
        state, self._state = self._state, None
        if state is None:
            return
        _put_gradients(runner, state)
        self._place_validation(runner, state.get('validation'))
        restore_stopping(runner, state['stopping'])
        if state['data'] is None:
            Follower(runner.train_loop).before_train(runner, state)
        else:
            self._follower.before_train(runner, state)

    def before_train_epoch(self, runner: Runner) -> None:
        """The same for loops that are set up here."""
        if self._follower is not None:
            self._follower.before_train_epoch(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Know where a validation begins: what is saved within it is resumed there."""
        self._validating, self._before_validation = True, self._drawn()

    def end_validation(self, metrics: dict | None) -> None:
        """Know that everything has been measured, and hooks are about to be told.

        Args:
            metrics: What was measured.
        """
        self._before_validation, self._metrics = None, metrics

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Know that no checkpoint is written any more before early stopping is told."""
        self._metrics = None

    def after_val(self, runner: Runner) -> None:
        """Know that what is saved from here on is of the training again."""
        self._validating = False

    def _state_of_process(self, runner: Runner) -> dict:
        """What the other processes have otherwise."""
        drawn = self._before_validation or self._drawn()
        return dict(drawn, data=self._follower.position(), **_gradients_of(runner))

    def _drawn(self) -> dict:
        """The generators, and the place of the validation between two."""
        place = None
        if self._validation is not None:
            # A pass that was broken off is not gone on with.
            place = dict(self._validation.position(), in_pass=False, handed_out=0)
        return dict(generators=capture_all(), validation=place)

    def _place_validation(self, runner: Runner, place: dict | None) -> None:
        """Let the validation have the workers that it would have without an interruption."""
        if self._validation is None or place is None:
            return
        if self._validation.suits(place):
            self._validation.go_on_from(place)
        else:
            runner.logger.warning(
                'resume: the validation has another number of workers that wait between two, so '
                'this run has other random numbers than an uninterrupted one from the next on'
            )


class _EndOfValidation(Guard):
    """Tells another hook that a validation has ended before any hook acts on it.

    Args:
        owner: That one.
    """

    priority = 'HIGHEST'

    def __init__(self, owner: ExactResumeHook) -> None:
        self._owner = owner

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Tell it."""
        self._owner.end_validation(metrics)


def _leave_to_the_checkpoint() -> None:
    """Stands in for `init_weights`."""


def _validation_of(runner: Runner) -> ResumableLoader | None:
    """The validation's loader, which knows its place from here on."""
    loop = runner._val_loop
    if not isinstance(loop, BaseLoop) or not can_resume(loop.dataloader):
        return None
    make_resumable(loop.dataloader)
    return loop.dataloader


def _gradients_of(runner: Runner) -> dict:
    """Gradients that more are to be added to, and how many were."""
    wrappers, gradients = wrappers_of(runner), None
    if any(getattr(wrapper, '_accumulative_counts', 1) > 1 for wrapper in wrappers):
        gradients = {
            name: parameter.grad.detach().to('cpu', copy=True)
            for name, parameter in unwrap(runner.model).named_parameters()
            if parameter.grad is not None
        }
    counts = [getattr(wrapper, '_inner_count', None) for wrapper in wrappers]
    return dict(gradients=gradients, inner_counts=counts)


def _put_gradients(runner: Runner, state: dict) -> None:
    """Put back what `_gradients_of` took."""
    parameters = dict(unwrap(runner.model).named_parameters())
    for name, gradient in (state['gradients'] or {}).items():
        if name in parameters:
            parameters[name].grad = gradient.to(parameters[name].device)
    for wrapper, count in zip(wrappers_of(runner), state['inner_counts'] or [], strict=False):
        if count is not None:
            wrapper._inner_count = count
