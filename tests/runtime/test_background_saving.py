"""Checkpoints are written while training goes on, as they were when it was time."""

import io
import threading

import mmengine.runner.runner
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from timm.optim import Lookahead
from tiny_run import At, checkpoint_names, tiny_runner
from torch import nn
from torch.optim import SGD

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint, install_resume_choice
from mmtoken.runtime.saving import save_job, snapshot
from mmtoken.runtime.saving.background_writer import BackgroundWriter
from mmtoken.runtime.saving.checkpoint_hook import ReliableCheckpointHook
from mmtoken.runtime.saving.device_copies import left_on_device
from mmtoken.runtime.saving.optimizers import optimizers_of
from mmtoken.runtime.saving.snapshot import Snapshot

install_resume_choice()
SCORES = [1.0, 3.0, 2.0]


class Reference(Hook):
    """What a checkpoint is when it is saved, and training changes after it."""

    priority = 'LOWEST'

    def __init__(self):
        self.saved = []

    def before_save_checkpoint(self, runner, checkpoint):
        file = io.BytesIO()
        torch.save(checkpoint, file)
        self.saved.append(file.getvalue())


class Blocked:
    """Writes of checkpoints, which wait to be let go; begins and ends are listed."""

    def __init__(self, monkeypatch):
        self.go = threading.Event()
        self.seen = []
        original = save_job.write_checkpoint

        def write(checkpoint, path):
            self.seen.append(f'begin {path.name}')
            assert self.go.wait(60)
            original(checkpoint, path)
            self.seen.append(f'end {path.name}')

        monkeypatch.setattr(save_job, 'write_checkpoint', write)


def test_a_background_write_is_the_file_of_its_time_though_training_went_on(tmp_path, monkeypatch):
    blocked, reference = Blocked(monkeypatch), Reference()
    steps = []
    hooks = [
        reference,
        At('after_train_iter', lambda runner: steps.append(list(blocked.seen))),
        At('after_train', lambda runner: blocked.go.set()),
    ]
    hook = dict(by_epoch=False, interval=5, asynchronous=True, save_last=False)

    tiny_runner(tmp_path, hook, hooks, epochs=2).train()

    assert steps[-1] == ['begin iter_5.pth']
    assert (tmp_path / 'iter_5.pth').read_bytes() == reference.saved[0]


class Owing:
    """Copies that are owed until training begins to wait for them, or until they are let go."""

    def __init__(self, monkeypatch, waiting=lambda: None):
        self.go = threading.Event()
        make, wait = snapshot._Owed.make, Snapshot.wait

        def wait_and_make(owed):
            assert self.go.wait(60)
            make(owed)

        def let_go_and_wait(copies):
            if not copies._paid.is_set():
                waiting()
                self.go.set()
            wait(copies)

        monkeypatch.setattr(snapshot._Owed, 'make', wait_and_make)
        monkeypatch.setattr(Snapshot, 'wait', let_go_and_wait)


def test_weights_are_copied_while_the_next_iteration_runs_and_its_step_waits(tmp_path, monkeypatch):
    reference, events = Reference(), []
    Owing(monkeypatch, waiting=lambda: events.append('waiting'))
    hook = dict(by_epoch=False, interval=5, asynchronous=True, save_last=False)
    runner = tiny_runner(tmp_path, hook, [reference], epochs=2)
    runner.model.register_forward_pre_hook(lambda *_: events.append(f'forward {runner.iter}'))

    runner.train()

    assert events[4:7] == ['forward 4', 'forward 5', 'waiting']
    assert (tmp_path / 'iter_5.pth').read_bytes() == reference.saved[0]
    assert not runner.optim_wrapper.optimizer._optimizer_step_pre_hooks


def test_averages_take_the_place_of_weights_when_these_are_copied(tmp_path, monkeypatch):
    owing, reference = Owing(monkeypatch), Reference()

    def let_go(runner):
        # Validation, with the averages, lasts until everything is written.
        owing.go.set()
        hook._writer._thread.join()

    hooks = [dict(type='EMAHook'), reference, At('before_val_iter', let_go)]
    hook = ReliableCheckpointHook(interval=1, asynchronous=True)

    tiny_runner(tmp_path, hook, hooks, scores=SCORES[:1], epochs=1).train()

    assert (tmp_path / 'epoch_1.pth').read_bytes() == reference.saved[0]


def test_a_weight_that_something_else_changes_meanwhile_ends_the_run(tmp_path, monkeypatch):
    owing = Owing(monkeypatch)

    def change(runner):
        if runner.iter == 4:
            with torch.no_grad():
                runner.model.layers[0].weight.add_(1)
            owing.go.set()

    with pytest.raises(UserError, match=r'a weight of \(8, 3\) was changed .* asynchronous=False'):
        tiny_runner(tmp_path, dict(asynchronous=True), [At('before_train_iter', change)]).train()

    assert checkpoint_names(tmp_path) == []


def test_weights_that_are_not_trained_are_copied_at_once(tmp_path, monkeypatch):
    owing, reference = Owing(monkeypatch), Reference()

    def change(runner):
        if runner.iter == 4:
            with torch.no_grad():
                runner.model.layers[0].weight.add_(1)
            owing.go.set()

    hooks = [reference, At('before_train_iter', change)]
    runner = tiny_runner(tmp_path, dict(asynchronous=True), hooks)
    runner.model.layers[0].weight.requires_grad_(False)
    runner.train()

    assert (tmp_path / 'epoch_1.pth').read_bytes() == reference.saved[0]


def test_only_steps_that_call_hooks_can_wait():
    wrappers = [OptimWrapper(SGD([nn.Parameter(torch.ones(1))], lr=0.1)) for _ in range(2)]
    both = OptimWrapperDict(first=wrappers[0], second=wrappers[1])

    assert optimizers_of(wrappers[0]) == [wrappers[0].optimizer]
    assert optimizers_of(both) == [wrapper.optimizer for wrapper in wrappers]
    # It does not call the constructor of torch's.
    wrappers[1].optimizer = Lookahead(wrappers[1].optimizer)
    assert optimizers_of(both) == []


def test_at_most_one_write_is_in_flight(tmp_path, monkeypatch):
    blocked, wait = Blocked(monkeypatch), BackgroundWriter.wait

    def let_go(writer):
        if writer._thread is not None:
            blocked.go.set()
        wait(writer)

    monkeypatch.setattr(BackgroundWriter, 'wait', let_go)

    # The second save would go on for ever if it did not wait for the first.
    tiny_runner(tmp_path, dict(asynchronous=True, max_keep_ckpts=1), epochs=3).train()

    names = [f'epoch_{epoch}.pth' for epoch in (1, 2, 3)]
    assert blocked.seen == [f'{what} {name}' for name in names for what in ('begin', 'end')]


def test_an_error_of_a_background_write_ends_the_run_at_the_next_iteration(tmp_path, monkeypatch):
    go, steps = threading.Event(), []

    def write(checkpoint, path):
        assert go.wait(60)
        raise UserError('the disk is full')

    def step(runner):
        steps.append(runner.iter)
        if runner.iter == 4:
            go.set()
            hook._writer._thread.join()

    monkeypatch.setattr(save_job, 'write_checkpoint', write)
    hook = ReliableCheckpointHook(by_epoch=False, interval=3, asynchronous=True)
    with pytest.raises(UserError, match='the disk is full'):
        tiny_runner(tmp_path, hook, [At('before_train_iter', step)]).train()

    assert steps == [0, 1, 2, 3, 4]
    assert checkpoint_names(tmp_path) == []


def test_what_an_error_ended_is_written_all_the_same(tmp_path, monkeypatch):
    blocked = Blocked(monkeypatch)

    def fail(runner):
        if runner.iter == 6:
            raise RuntimeError('elsewhere')

    with pytest.raises(RuntimeError, match='elsewhere'):
        tiny_runner(tmp_path, dict(asynchronous=True), [At('before_train_iter', fail)]).train()
    blocked.go.set()

    assert choose_checkpoint(tmp_path).checkpoint == tmp_path / 'epoch_1.pth'


def test_tensors_that_share_memory_do_so_in_a_snapshot():
    whole = torch.arange(12.0).reshape(3, 4)
    value = {'whole': whole, 'part': whole[1:, ::2], 'again': [whole, (1, 'a'), None]}
    before = io.BytesIO()
    torch.save(value, before)

    taken = Snapshot().take(value)
    whole.zero_()

    after = io.BytesIO()
    torch.save(taken, after)
    assert after.getvalue() == before.getvalue()


def test_a_snapshot_uses_the_memory_of_the_one_before():
    copies, value = Snapshot(), {'a': torch.ones(5), 'b': torch.ones(5), 'c': torch.ones(7)}

    first = {tensor.data_ptr() for tensor in copies.take(value).values()}
    second = {tensor.data_ptr() for tensor in copies.take(value).values()}

    assert first == second and len(first) == 3


def test_what_is_no_plain_tensor_is_copied_too():
    values = [torch.nn.Parameter(torch.ones(2)), torch.eye(2).to_sparse(), {1, 2}]

    taken = Snapshot().take(values)
    values[0].data.zero_()

    assert type(taken[0]) is torch.nn.Parameter and taken[0].sum() == 2
    assert torch.equal(taken[1].to_dense(), torch.eye(2))
    assert taken[2] == {1, 2} and taken[2] is not values[2]


def test_with_a_gpu_the_runners_leave_tensors_to_the_snapshot(monkeypatch):
    original, state = mmengine.runner.runner.weights_to_cpu, {'a': torch.ones(2)}
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)

    with left_on_device():
        assert mmengine.runner.runner.weights_to_cpu(state) is state
        assert mmengine.runner.weights_to_cpu(state) is state

    assert mmengine.runner.runner.weights_to_cpu is original
    assert mmengine.runner.weights_to_cpu is original
