"""What mmengine's early stopping counts, as plain data: it decides how long a run trains."""

from __future__ import annotations

import copy

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner


def stopping_state(runner: Runner, metrics: dict | None = None) -> dict:
    """What the run's hooks of early stopping have counted.

    Args:
        runner: The runner.
        metrics: Of a validation that they have not been told of yet, as when a checkpoint is
            written because of it; None where there is none.

    Returns:
        Their counts, after that validation, and whether training is over.
    """
    stopped, counts = bool(getattr(runner.train_loop, 'stop_training', False)), []
    for hook in _hooks(runner):
        twin = copy.copy(hook)
        if metrics is not None and twin.monitor in metrics:
            stopped |= twin._check_stop_condition(metrics[twin.monitor])[0]
        counts.append([twin.wait_count, float(twin.best_score)])
    return dict(stopped=stopped, counts=counts)


def restore_stopping(runner: Runner, state: dict) -> None:
    """Let hooks of early stopping go on counting.

    Args:
        runner: The runner.
        state: Of :func:`stopping_state`.
    """
    for hook, (count, score) in zip(_hooks(runner), state['counts'], strict=False):
        hook.wait_count, hook.best_score = count, score
    if state['stopped']:
        runner.train_loop.stop_training = True


def _hooks(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
