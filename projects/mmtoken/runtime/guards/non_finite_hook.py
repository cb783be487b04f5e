"""A run stops before it steps with a loss or gradient that is NaN or infinite."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from os.path import exists
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch.nn.utils import clip_grad_value_
from torch.optim import Optimizer

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.runtime.guards.guard import Guard
from mmtoken.runtime.guards.non_finite import (
    BufferRecord,
    LossRecord,
    bad_gradients,
    bad_weights,
    look,
    look_at_losses,
    losses_text,
)
from mmtoken.unwrap import unwrap

# A scaler halves its scale with each skip, so either means that no scale helps.
MOST_OVERFLOWS = 100
LEAST_SCALE = 2.0**-24
# Parameters that a sentence names.
_NAMED = 3


@dataclass
class _Watch:
    """An optimizer, and how its last steps went.

    Args:
        wrapper: Its wrapper.
        count: Backward passes that the wrapper had counted when it was last looked at.
        release: Ends the watch.
        looked: Whether it has tried to step since.
        skipped: Steps that were left out in a row, since something was not finite.
        overflows: Steps that a gradient scaler left out in a row.
    """

    wrapper: OptimWrapper
    count: int
    release: Callable[[], Any] | None = None
    looked: bool = False
    skipped: int = 0
    overflows: int = 0


@HOOKS.register_module()
class NonFiniteHook(Guard):
    """Stop a run before the optimizer's step where a loss or gradient is NaN or infinite.

    All processes stop together, whichever of them has it, with a sentence that names the losses,
    or the parameters whose gradients it is, the iteration, the learning rate and the last
    checkpoint. Weights that are not finite after a step are neither saved nor the end of a run.
    Steps of wrappers that are no `OptimWrapper`, such as DeepSpeed's, are not looked at, and the
    log says so.

    The steps that a gradient scaler of mixed precision leaves out are no error, unless the loss
    itself is not finite or the scaler never stops. Our design.

    Args:
        skip: Steps in a row that may be left out, each counted and logged, before the run stops.
            The model's buffers, such as the statistics of batch norms, stay as they were, too.

    Raises:
        UserError: If `skip` is negative or no whole number.
    """

    priority = 'VERY_HIGH'

    def __init__(self, skip: int = 0) -> None:
        check_whole('skip', skip, least=0, example=5)
        self.skip = skip
        self.skipped = 0
        self._watches: list[_Watch] = []
        self._losses: LossRecord | None = None
        self._buffers: BufferRecord | None = None
        self._stepped = True

    def before_run(self, runner: Runner) -> None:
        """Save no weights that are not finite, and let all processes find out, not the first."""
        save = runner.save_checkpoint
        if getattr(save, 'checks', None) is self:
            return

        @wraps(save)
        def checked(*args: Any, **kwargs: Any) -> Any:
            self._check_weights(runner)
            return save(*args, **kwargs)

        checked.checks = self
        runner.save_checkpoint = checked

    def before_train(self, runner: Runner) -> None:
        """Watch the losses and the optimizers, after all hooks have changed the model."""
        self._release()
        model = unwrap(runner.model)
        self._losses, self._buffers, self._stepped = LossRecord(model), BufferRecord(model), True
        self._watches = [self._watch(runner, one) for one in _wrappers(runner.optim_wrapper)]
        if not self._watches:
            kind = type(runner.optim_wrapper).__name__
            runner.logger.warning(
                f'NonFiniteHook does not look at losses and gradients, since {kind} is no '
                'OptimWrapper; weights are looked at when they are saved'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the buffers that the first micro-batch of a step finds."""
        if self.skip and self._stepped:
            self._buffers.take()
            self._stepped = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the steps that a gradient scaler left out, of which the optimizer knows none."""
        for watch in self._watches:
            due = watch.wrapper.inner_count != watch.count and watch.wrapper.should_update()
            watch.count = watch.wrapper.inner_count
            scaled = getattr(watch.wrapper, 'loss_scaler', None) is not None
            if due and scaled and not watch.looked:
                self._overflowed(runner, watch)
            watch.looked = False

    def after_train(self, runner: Runner) -> None:
        """End with none either, and leave the model and the optimizers as they were found."""
        self._release()
        self._check_weights(runner)
        if self.skipped:
            runner.logger.warning(
                f'{self.skipped} steps of this run were skipped, since a loss or gradient was not '
                'finite'
            )

    def _watch(self, runner: Runner, wrapper: OptimWrapper) -> _Watch:
        """Look at an optimizer's gradients before it steps, and before clipping hides them."""
        watch = _Watch(wrapper, wrapper.inner_count)
        before_step = partial(self._before_step, runner, watch)
        # A gradient scaler looks at them before.
        hidden = wrapper.clip_grad_kwargs and wrapper.clip_func is clip_grad_value_
        if not hidden or hasattr(wrapper, 'loss_scaler'):
            watch.release = wrapper.optimizer.register_step_pre_hook(before_step).remove
            return watch
        clip = wrapper._clip_grad

        def look_and_clip() -> None:
            before_step(wrapper.optimizer)
            clip()

        wrapper._clip_grad = look_and_clip
        watch.release = partial(vars(wrapper).pop, '_clip_grad', None)
        return watch

    def _before_step(self, runner: Runner, watch: _Watch, optimizer: Optimizer, *_: Any) -> None:
        """Stop, or take the gradients away: parameters without one are left out of a step."""
        watch.looked = self._stepped = True
        flags = look(optimizer, self._losses.totals())
        problem = None
        if flags.loss or (flags.gradient and not flags.overflow):
            problem = self._describe(runner, optimizer)
        elif flags.overflow:
            self._overflowed(runner, watch)
            return
        self._losses.clear()
        if problem is None:
            watch.skipped = watch.overflows = 0
            return
        self._stop_or_skip(runner, watch, problem)
        optimizer.zero_grad(set_to_none=True)

    def _overflowed(self, runner: Runner, watch: _Watch) -> None:
        """A gradient scaler leaves a step out: an error where another scale cannot help."""
        watch.overflows += 1
        self._stepped = True
        flags = look_at_losses(self._losses.totals())
        problem = self._describe(runner, None) if flags.loss else None
        self._losses.clear()
        if problem is not None:
            self._stop_or_skip(runner, watch, problem)
            return
        scale = watch.wrapper.loss_scaler.get_scale()
        if watch.overflows >= MOST_OVERFLOWS or scale < LEAST_SCALE:
            self._stop(
                runner,
                f'mixed precision left out {watch.overflows} steps in a row, since the gradients '
                f'overflow at a loss scale of {scale:.3g}, too',
            )

    def _describe(self, runner: Runner, optimizer: Optimizer | None) -> str | None:
        """What is not finite and where, alike on all processes; None for a mere large norm."""
        losses = self._losses.named()
        bad = any(not abs(value) < float('inf') for value in losses.values())
        total = any(not value.isfinite().all() for value in self._losses.totals())
        gradients = [] if optimizer is None else bad_gradients(unwrap(runner.model), optimizer)
        found = all_gather_object((bad or total, losses, gradients))
        of_rank = ' on rank {}' if len(found) > 1 else ''
        for rank, (bad, losses, _) in enumerate(found):
            if bad:
                return f'the loss is not finite{of_rank.format(rank)} ({losses_text(losses)})'
        for rank, (_, losses, names) in enumerate(found):
            if names:
                return (
                    f'the gradients of {_some(names)} are not finite{of_rank.format(rank)}, and '
                    f'the losses are ({losses_text(losses) or "unknown"})'
                )
        return None

    def _stop_or_skip(self, runner: Runner, watch: _Watch, problem: str) -> None:
        if watch.skipped >= self.skip:
            after = f'; {watch.skipped} steps in a row were skipped before' if self.skip else ''
            self._stop(runner, problem, after)
        self._buffers.restore()
        watch.skipped += 1
        self.skipped += 1
        runner.logger.warning(
            f'{_moment(runner)}: {problem}; this step is skipped, {watch.skipped} in a row of at '
            f'most {self.skip}'
        )

    def _check_weights(self, runner: Runner) -> None:
        names = bad_weights(unwrap(runner.model))
        if names:
            self._stop(runner, f'the weights of {_some(names)} are not finite')

    def _stop(self, runner: Runner, problem: str, after: str = '') -> None:
        self._release()
        raise UserError(f'{_moment(runner)}: {problem}, {_remedy(runner)}{after}')

    def _release(self) -> None:
        """End all watches."""
        if self._losses is not None:
            self._losses.release()
        for watch in self._watches:
            watch.release()
        self._watches, self._losses, self._buffers = [], None, None


def _wrappers(wrapper: OptimWrapper | OptimWrapperDict) -> list[OptimWrapper]:
    """The optimizer wrappers of a run, of which models such as GANs have several."""
    several = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return [one for one in several if isinstance(one, OptimWrapper)]


def _moment(runner: Runner) -> str:
    """When it is, as the log counts."""
    epoch = ''
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        epoch = f' (epoch {runner.epoch + 1})'
    return f'iteration {runner.iter + 1}{epoch}'


def _remedy(runner: Runner) -> str:
    """The end of the sentence: what may be wrong, and what is left of the run."""
    wrappers = _wrappers(runner.optim_wrapper)
    rates = [group['lr'] for one in wrappers for group in one.optimizer.param_groups]
    ends = dict.fromkeys(f'{pick(rates):.4g}' for pick in (min, max) if rates)
    now = f' (now {" to ".join(ends)})' if ends else ''
    advice = [f'lower the learning rate{now}', 'warm up longer']
    if not all(one.clip_grad_kwargs for one in wrappers):
        advice.append('clip gradients (optim_wrapper.clip_grad=dict(max_norm=1.0))')
    if any(hasattr(one, 'loss_scaler') for one in wrappers):
        advice.append('train without mixed precision, or in bfloat16')
    saved = _last_checkpoint(runner)
    kept = f'{saved} is the last checkpoint, untouched' if saved else 'no checkpoint was saved'
    return f'so training stopped; {", ".join(advice[:-1])} or {advice[-1]}; {kept}'


def _last_checkpoint(runner: Runner) -> str | None:
    """The file that this run saved last, else the one that it goes on from."""
    resumed = getattr(runner, '_load_from', None) if getattr(runner, '_resume', False) else None
    for path in (runner.message_hub.get_info('last_ckpt'), resumed):
        if path and exists(path):
            return path
    return None


def _some(names: list[str]) -> str:
    """Some parameters of which the first are named."""
    parameters = 'parameter' if len(names) == 1 else 'parameters'
    more = ', ...' if len(names) > _NAMED else ''
    return f'{len(names)} {parameters} ({", ".join(names[:_NAMED])}{more})'
