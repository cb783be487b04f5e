"""A run of a tenth of a second: a model of two layers, a few numbers, and scores as wanted."""

import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmtoken.runtime.saving.checkpoint_hook import ReliableCheckpointHook

RUNS = count()


class TwoLayers(BaseModel):
    """Has buffers that change, too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> Any:
        found = self.layers(inputs)
        return dict(loss=found.square().mean()) if mode == 'loss' else list(found)


class Numbers(torch.utils.data.Dataset):
    """Items of three numbers."""

    def __init__(self, items: int) -> None:
        self.items = items

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.full((3,), float(index)).sin())


class Scores(BaseMetric):
    """The scores that validations are to find, one after another."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = list(values)

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list) -> dict:
        value = self.values.pop(0)
        return dict(acc=value, top=-value)


def tiny_runner(
    work_dir: Path,
    hook: Hook | dict | None = None,
    hooks: Sequence[Hook] = (),
    scores: Sequence[float] = (),
    epochs: int = 3,
    iterations: int = 0,
    items: int = 16,
    workers: int = 0,
    kind: type = Runner,
    **changes: Any,
) -> Runner:
    """A runner of 4 iterations an epoch, of 4 items each.

    Args:
        work_dir: Its folder.
        hook: What saves checkpoints: ours without arguments, arguments for ours, or another one.
        hooks: Other hooks.
        scores: What validations find; none without.
        epochs: How many.
        iterations: How many, in a run without epochs.
        items: In the data set.
        workers: Data loading processes.
        kind: The runner's class.
        **changes: Other arguments of the runner.
    """
    torch.manual_seed(0)
    loader = dict(
        batch_size=4,
        dataset=Numbers(items),
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    train_loader, train_cfg = loader, dict(by_epoch=True, max_epochs=epochs)
    if iterations:
        train_cfg = dict(by_epoch=False, max_iters=iterations, val_interval=4)
        train_loader = {**loader, 'sampler': dict(type='InfiniteSampler', shuffle=True)}
    found: dict[str, Any] = {}
    if scores:
        found = dict(val_dataloader=loader, val_cfg=dict(), val_evaluator=[Scores(scores)])
    if hook is None or isinstance(hook, dict):
        hook = ReliableCheckpointHook(**{'interval': 1, 'by_epoch': not iterations, **(hook or {})})
    arguments = dict(
        model=TwoLayers(),
        work_dir=str(work_dir),
        train_dataloader=train_loader,
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        param_scheduler=dict(type='ExponentialLR', gamma=0.9, by_epoch=not iterations),
        default_hooks=dict(checkpoint=hook),
        custom_hooks=list(hooks),
        log_level='WARNING',
        randomness=dict(seed=0),
        experiment_name=f'tiny{next(RUNS)}',
        cfg=Config(dict(tiny=True)),
        **found,
    )
    return kind(**{**arguments, **changes})


def read(path: Path) -> dict:
    """A checkpoint's content."""
    from mmtoken.runtime.safe_loading import load_from_file

    return load_from_file(str(path))


def run_apart(work: Callable[[], None]) -> int:
    """Do something in a process of its own; its exit code, negative for a signal."""
    process = multiprocessing.get_context('fork').Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_two(work: Callable[[int], None], meeting: Path) -> list[int]:
    """Do something in two processes that can talk to each other; their exit codes.

    Args:
        work: What, by the process's number.
        meeting: A file that is not there, by which they meet.
    """

    def joined(rank: int) -> None:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{meeting}', rank=rank, world_size=2
        )
        work(rank)
        torch.distributed.destroy_process_group()

    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=joined, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()  # One that hangs.
        process.join()
    return [process.exitcode for process in processes]


class At(Hook):
    """Does something at a place of the run."""

    def __init__(self, place, action, priority='NORMAL'):
        self.priority = priority
        setattr(self, place, lambda runner, *args, **kwargs: action(runner))


def checkpoint_names(folder: Path) -> list[str]:
    """The checkpoints under a folder; what a published one is of, in place of its digest."""
    names = [str(path.relative_to(folder)) for path in folder.rglob('*.pth')]
    return sorted(re.sub(r'-[0-9a-f]{8}\.pth', '-digest.pth', name) for name in names)
