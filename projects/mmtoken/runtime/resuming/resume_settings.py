"""What a run must have in common with the checkpoint that it is resumed from, to go on exactly."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import basename, normpath
from typing import Any

from mmengine.dist import get_world_size
from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, Runner

from mmtoken.errors import UserError

SWITCH = 'default_hooks.resume.allow_changed=True'
_NAMES = dict(
    loop='train loop',
    processes='processes',
    batch_size='batch size of a process',
    workers='workers of a process',
    persistent_workers='persistent workers',
    accumulated='batches of a step',
    samples='training samples',
    data='training data',
)


def settings_of(loop: BaseLoop) -> dict[str, Any]:
    """What the order of the data and its random numbers depend on, as plain data.

    Args:
        loop: The train loop.

    Returns:
        Values by name; None where its loader does not say. Data are told by the names of their
        files, since the folder may be another one each time.
    """
    loader = loop.dataloader
    size = getattr(loader, 'batch_size', None)
    if size is None:  # a batch sampler has it
        size = getattr(getattr(loader, 'batch_sampler', None), 'batch_size', None)
    try:
        samples = len(loader.dataset)
    except (AttributeError, TypeError):
        samples = None
    counts = [getattr(each, '_accumulative_counts', 1) for each in wrappers_of(loop.runner)]
    return dict(
        loop=type(loop).__name__,
        processes=get_world_size(),
        batch_size=size if size is None or isinstance(size, int) else [int(n) for n in size],
        workers=getattr(loader, 'num_workers', None),
        persistent_workers=getattr(loader, 'persistent_workers', None),
        accumulated=counts[0] if len(counts) == 1 else counts,
        samples=samples,
        data=_names_of(getattr(loader, 'dataset', None)),
    )


def wrappers_of(runner: Runner) -> list[BaseOptimWrapper]:
    """The optimizer's wrappers, mostly one.

    Args:
        runner: Whose they are.
    """
    wrapper = runner.optim_wrapper
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def check_settings(before: dict[str, Any], now: dict[str, Any], allow_changed: bool) -> str | None:
    """Compare a checkpoint's settings with a run's.

    Args:
        before: Of the checkpoint.
        now: Of the run.
        allow_changed: Whether they may differ.

    Returns:
        What differs, or None.

    Raises:
        UserError: If they differ and may not.
    """
    changes = [
        f'{name} {before[key]} → {now[key]}'
        for key, name in _NAMES.items()
        if key in before and before[key] != now[key]  # It was not always written.
    ]
    if not changes:
        return None
    totals = [_total(settings) for settings in (before, now)]
    if None not in totals and totals[0] != totals[1]:
        changes.append(f'batch size of all processes {totals[0]} → {totals[1]}')
    found = ', '.join(changes)
    if not allow_changed:
        raise UserError(
            f'the checkpoint that is resumed was trained with other settings ({found}), which '
            'changes the training; start it as before, or allow the change with '
            f'--cfg-options {SWITCH}'
        )
    return found


def fit_state(
    ranks: list[dict], rank: int, before: dict[str, Any], now: dict[str, Any]
) -> dict[str, Any]:
    """A process's state, out of a checkpoint with other settings: what of it still has a meaning.

    Args:
        ranks: The states of the checkpoint's processes.
        rank: Of this process.
        before: Settings of the checkpoint.
        now: Of this run.

    Returns:
        The state; as many samples of the present pass are skipped as were seen, rounded down to
        batches, and workers begin with new random numbers.
    """
    # Gradients of one process's batches are not those of another's.
    state = dict(ranks[rank % len(ranks)], gradients=None, inner_counts=None)
    data, totals = state['data'], [_total(settings) for settings in (before, now)]
    if data is None:
        return state
    seen = data['handed_out']
    if None not in totals:
        seen = seen * totals[0] // totals[1]
    return dict(state, data=dict(data, handed_out=seen, began=None, workers=[]))


def _names_of(dataset: Any) -> str:
    """The class of a data set, or of those that it wraps, with the names of its files."""
    wrapped = getattr(dataset, 'datasets', None)
    if not isinstance(wrapped, list):
        wrapped = [dataset.dataset] if hasattr(dataset, 'dataset') else []
    if wrapped:
        return ', '.join(map(_names_of, wrapped))
    prefixes = getattr(dataset, 'data_prefix', None)
    paths = [getattr(dataset, 'ann_file', None)]
    paths += prefixes.values() if isinstance(prefixes, Mapping) else ()
    paths = [normpath(path) for path in paths if path and isinstance(path, str)]
    # Its own name says where the data are, not what they are.
    root = normpath(str(getattr(dataset, 'data_root', None)))
    names = [basename(path) for path in paths if path != root]
    return ' '.join([type(dataset).__name__, *names])


def _total(settings: dict[str, Any]) -> int | None:
    size = settings['batch_size']
    return settings['processes'] * size if isinstance(size, int) else None
