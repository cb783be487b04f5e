"""Runs of mmengine's FlexibleRunner, which fully sharded training needs, resume exactly, too."""

import os

import pytest
import torch
from mmengine.runner import FlexibleRunner
from resumable_runs import Noisy, make_runner, same, trained
from sending_hook import SendSignal
from tiny_run import run_two

from mmtoken.errors import UserError
from mmtoken.runtime.guards.signal_hook import SignalHook
from mmtoken.runtime.safe_loading import trust_checkpoint

STRATEGIC = dict(kind=FlexibleRunner)
# Plain momentum: on a processor torch gathers the two states of Adam into the same memory.
MOMENTUM = dict(type='SGD', lr=0.01, momentum=0.9)
STEPS = (2, 3, 5)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leave out the search for compilers."""
    monkeypatch.setattr('mmengine._strategy.base.collect_env', dict)


@pytest.mark.parametrize('epochs', [True, False], ids=['epochs', 'iterations'])
def test_on_one_device_it_ends_with_the_same_weights(epochs, tmp_path):
    settings = dict(STRATEGIC, epochs=epochs, workers=2, seed=None, accumulate=2)
    settings['train_cfg'] = dict(val_interval=1 if epochs else 3)
    settings['validation'] = dict(num_workers=1, persistent_workers=True)
    expected = trained(tmp_path / 'whole', **settings)

    for step in (1, 4, 6):
        checkpoint = tmp_path / 'whole' / f'iter_{step}.pth'
        assert same(trained(tmp_path / 'on', **settings, resume=checkpoint), expected), step


def test_signals_are_heard(tmp_path):
    hooks = (SendSignal(at=1), SignalHook())
    runner = make_runner(tmp_path, **STRATEGIC, epochs=False, hooks=hooks)

    with pytest.raises(SystemExit) as stopped:
        runner.train()

    assert stopped.value.code == 143
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_2.pth'


def test_other_settings_are_refused(tmp_path):
    trained(tmp_path / 'whole', **STRATEGIC)
    checkpoint = tmp_path / 'whole' / 'iter_3.pth'
    runner = make_runner(
        tmp_path / 'on', **STRATEGIC, resume=checkpoint, loader=dict(dataset=Noisy(10))
    )

    with pytest.raises(UserError, match='training samples 8 → 10'):
        runner.train()


def sharded_runner(work_dir, kind, **options):
    """A runner of one of two processes, on processors, where the device has to be told."""
    wrapper = dict(type='MMFullyShardedDataParallel', device_id=torch.device('cpu'))
    strategy = dict(
        type='FSDPStrategy',
        model_wrapper=dict(wrapper, use_orig_params=True),
        state_dict_cfg=kind,
    )
    more = dict(epochs=False, workers=1, accumulate=2, optimizer=MOMENTUM, launcher='pytorch')
    return make_runner(work_dir, **STRATEGIC, strategy=strategy, **more, **options)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes are forked')
@pytest.mark.parametrize('kind', ['full', 'local'])
def test_fully_sharded_it_ends_with_the_same_weights(kind, tmp_path):
    def shards(**options):
        runner = sharded_runner(tmp_path / ('on' if options else 'whole'), kind, **options)
        runner.train()
        return {name: value.detach().clone() for name, value in runner.model.named_parameters()}

    def work(rank):
        expected = shards()
        assert any(value.numel() for value in expected.values())
        for step in STEPS:
            checkpoint = tmp_path / 'whole' / f'iter_{step}.pth'
            if kind == 'local':  # Of classes of torch's own, which are not read otherwise.
                trust_checkpoint(str(checkpoint / f'rank{rank}.pth'))
            assert same(shards(resume=checkpoint), expected), step

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
