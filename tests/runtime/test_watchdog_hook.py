"""Two processes on the CPU, one of which is killed, stopped or hangs."""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmtoken.errors import UserError
from mmtoken.runtime.distributed import leave_launch, prepare_launch
from mmtoken.runtime.guards import watchdog_hook
from mmtoken.runtime.guards.watch import STEP
from mmtoken.runtime.guards.watchdog_hook import (
    EXIT_CODE,
    FIRST_STEPS,
    WatchdogHook,
    _Post,
)

STEPS = 30
FAULTY_STEP = 20


class Items(Dataset):
    """Numbers, and what happens at one of them."""

    def __init__(self, fault: Callable[[], None] | None = None) -> None:
        self.fault, self.count = fault, 0

    def __len__(self) -> int:
        return 4 * STEPS

    def __getitem__(self, index: int) -> dict:
        self.count += 1
        if self.fault and self.count == 2 * FAULTY_STEP:
            self.fault()
        return dict(inputs=torch.tensor([float(index), 1.0]))


class Line(BaseModel):
    """A line through numbers, and what happens in one of its steps."""

    def __init__(self, fault: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.fault, self.count = fault, 0
        torch.manual_seed(0)
        self.line = nn.Linear(2, 1)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> dict:
        self.count += 1
        if self.fault and self.count == FAULTY_STEP:
            self.fault()
        return dict(loss=(self.line(inputs) - 1).square().mean())


class Waits(Hook):
    """Keeps a process in a hook, as validation or saving would."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter == FAULTY_STEP - 2:
            threading.Event().wait()


def train(
    folder: Path,
    hooks: list,
    fault: Callable[[], None] | None = None,
    in_step: bool = False,
) -> torch.Tensor:
    """Train a line, with a fault in loading data or in a step; its weights."""
    cfg = Config(dict(launcher='pytorch' if 'RANK' in os.environ else 'none'))
    prepare_launch(cfg)
    runner = Runner(
        Line(fault if in_step else None),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=Items(None if in_step else fault),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-6)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=STEPS),
        default_hooks=dict(checkpoint=None),
        custom_hooks=hooks,
        launcher=cfg.launcher,
        randomness=dict(seed=0),
        experiment_name=f'watched-{folder.name}-{time.monotonic_ns()}',
        cfg=dict(model_wrapper_cfg=cfg.get('model_wrapper_cfg')),
    )
    weights = [value.detach().clone() for value in runner.train().parameters()]
    del runner
    leave_launch()
    return torch.cat([value.flatten() for value in weights])


def work(rank: int, port: int, folder: Path, hooks: list, *fault: Any) -> None:
    """What one of two processes does; its output and weights are in the folder."""
    output = os.open(folder / f'output{rank}', os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', LOCAL_WORLD_SIZE='2')
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='')
    weights = train(folder, hooks, *fault)
    torch.save(weights, folder / f'weights{rank}')


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Callable]:
    """A function that starts two processes, without a launcher that would end them."""
    context = multiprocessing.get_context('fork')
    started = []

    def start(
        hooks: list, fault: Callable | None = None, waits: bool = False, in_step: bool = False
    ) -> list:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        for rank in (0, 1):
            own = [*hooks, Waits()] if waits and rank == 0 else hooks
            own_fault = (fault, in_step) if rank == 1 else ()
            arguments = (rank, port, tmp_path, own, *own_fault)
            started.append(context.Process(target=work, args=arguments))
            started[-1].start()
        for process in started:
            process.join(60)
        return [process.exitcode for process in started]

    yield start
    for process in started:
        process.kill()


def outputs(folder: Path) -> str:
    """What both processes printed."""
    return ''.join((folder / f'output{rank}').read_text() for rank in (0, 1))


def loop() -> None:
    """An endless loop."""
    while True:
        time.sleep(0.01)


def test_one_that_hangs_in_a_step_ends_both(two, tmp_path):
    codes = two([WatchdogHook(timeout=5)], fault=threading.Event().wait, in_step=True)

    assert EXIT_CODE in codes and not {0, None} & {*codes}
    assert 'are in the step after' in outputs(tmp_path)


def test_one_that_hangs_while_it_loads_ends_both_with_the_reason(two, tmp_path):
    codes = two([WatchdogHook(timeout=5)], fault=loop)

    # The second one to end may find that the first one did.
    assert EXIT_CODE in codes and not {0, None} & {*codes}
    for rank in (0, 1):
        printed = (tmp_path / f'output{rank}').read_text()
        assert f'rank {rank} ends: rank 1 (host {socket.gethostname()}, process ' in printed
        assert f'it is loading data after {FAULTY_STEP - 1} steps' in printed
    (stacks,) = tmp_path.glob('*/stacks_rank1.txt')
    assert 'in loop' in stacks.read_text()
    (log,) = tmp_path.glob('*/*.log')
    assert 'rank 1 (host ' in log.read_text()


def test_one_that_loads_slowly_is_warned_of_and_waited_for(two, tmp_path):
    def load_slowly() -> None:
        end = time.monotonic() + 60
        while 'warning: rank 1 (host ' not in outputs(tmp_path) and time.monotonic() < end:
            # Somewhere else whenever it is looked at, every third of a second. What only reads is
            # seen where it gives Python's lock away, which may be the same place time after time.
            time.sleep(0.1)
            time.sleep(0.1)
            time.sleep(0.1)
            time.sleep(0.1)
            time.sleep(0.1)

    assert two([WatchdogHook(timeout=4)], fault=load_slowly) == [0, 0]
    assert outputs(tmp_path).count('has not got on') == 1
    (log,) = tmp_path.glob('*/*.log')
    assert 'warning: rank 1 (host ' in log.read_text()


@pytest.mark.long
def test_one_that_is_killed_ends_the_other_with_the_reason(two, tmp_path):
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    codes = two([WatchdogHook(timeout=5)], fault=die, waits=True)

    assert codes == [EXIT_CODE, -signal.SIGKILL]
    assert 'rank 1 (host ' in outputs(tmp_path)
    assert 'has not been heard of for' in outputs(tmp_path)


@pytest.mark.long
def test_one_that_is_stopped_ends_both_with_the_reason(two, tmp_path):
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    codes = two([WatchdogHook(timeout=5)], fault=stop)

    assert codes[0] == EXIT_CODE
    assert codes[1] not in (0, None)
    assert 'has not been heard of for' in outputs(tmp_path)


@pytest.mark.long
def test_the_first_one_killed_ends_the_other(two, tmp_path):
    codes = two(
        [
            WatchdogHook(timeout=5),
            DiesFirst(),
        ],
        waits=False,
    )

    assert codes == [-signal.SIGKILL, EXIT_CODE]
    assert 'rank 0 (host ' in outputs(tmp_path)


class DiesFirst(Hook):
    """The first process is killed while the other one is in a hook."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter == FAULTY_STEP:
            if os.environ['RANK'] == '0':
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()


def test_an_uninterrupted_run_is_the_same_with_it(two, tmp_path):
    (tmp_path / 'without').mkdir()

    assert two([WatchdogHook(timeout=20)]) == [0, 0]

    watched = [torch.load(tmp_path / f'weights{rank}', weights_only=True) for rank in (0, 1)]
    assert torch.equal(*watched)
    assert two([])[2:] == [0, 0]
    assert torch.equal(torch.load(tmp_path / 'weights0', weights_only=True), watched[0])


class LongWork(Hook):
    """Keeps the first process in a hook for longer than the others would wait."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter == FAULTY_STEP and os.environ['RANK'] == '0':
            threading.Event().wait(4.5)


def test_what_a_hook_does_may_take_longer(two):
    assert two([WatchdogHook(timeout=4), LongWork()]) == [0, 0]


def test_the_first_steps_are_not_judged():
    hook, phases = WatchdogHook(), []
    hook._post = SimpleNamespace(phase='starting')

    for step in range(FIRST_STEPS + 2):
        hook.before_train_iter(None, step)
        phases.append(hook._post.phase)
        hook.after_train_iter(SimpleNamespace(iter=step), step)

    assert STEP not in phases[:-1] and phases[-1] == STEP


def test_what_torch_compiles_is_told_from_what_it_runs(tmp_path):
    runner = SimpleNamespace(iter=0, log_dir=tmp_path, logger=SimpleNamespace(handlers=[]))
    post, seen = _Post(runner, None, 60, 600), []
    post.phase = STEP

    def look(*values: Any) -> Any:
        seen.append(post._report(beat=1).phase)
        return values

    def compile_(graph: Any, example: Any) -> Callable:
        look()
        return look

    compiled = torch.compile(torch.sin, backend=compile_)
    compiled(torch.ones(1))
    compiled(torch.ones(1))

    assert seen == ['compiling', STEP, STEP]


def test_a_single_process_is_not_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog_hook, '_Post', None)

    train(tmp_path, [WatchdogHook(timeout=5)])


@pytest.mark.parametrize('name', ['timeout', 'slow_timeout'])
@pytest.mark.parametrize('timeout', [0, -1, 'a', None])
def test_a_wrong_timeout_is_refused(timeout, name):
    with pytest.raises(UserError, match=f'WatchdogHook {name} {timeout!r}'):
        WatchdogHook(**{name: timeout})
