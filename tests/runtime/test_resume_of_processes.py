"""Several processes resume, each with its own random numbers and data."""

import multiprocessing
import os

import pytest
import torch
from resumable_runs import HOOK, make_runner, same, train, trained

from mmtoken.errors import UserError
from mmtoken.runtime.safe_loading import load_from_file

WRAPPER = dict(type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None)
SETTINGS = dict(
    epochs=False,
    workers=1,
    # Steps in the middle of a window have gradients of each process's own.
    accumulate=2,
)

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes are forked')


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leave out the search for compilers."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


def work(rank, folder, resumed_from):
    """What one of two processes does: train, and leave the weights in a file."""
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    store = torch.distributed.FileStore(str(folder / f'store_{len(resumed_from)}'), 2)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2)
    launch = dict(launcher='pytorch', cfg=dict(model_wrapper_cfg=WRAPPER))
    weights = [trained(folder / 'whole', **SETTINGS, **launch)]
    for step in resumed_from:
        checkpoint = folder / 'whole' / f'iter_{step}.pth'
        weights.append(trained(folder / 'on', **SETTINGS, **launch, resume=checkpoint))
    torch.save(weights, folder / f'weights_{rank}.pth')
    torch.distributed.barrier()
    # Without the interpreter's end, which the parent's threads are not there for.
    os._exit(0)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Of two processes that trained, and resumed from three of their checkpoints."""
    found = tmp_path_factory.mktemp('two')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        forking = multiprocessing.get_context('fork')
        children = [
            forking.Process(target=work, args=(rank, found, (2, 3, 5))) for rank in range(2)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0, 0]
    return found


def test_they_end_with_the_same_weights(folder):
    whole, *resumed = torch.load(folder / 'weights_0.pth')

    assert [same(whole, weights) for weights in resumed] == [True, True, True]


def test_each_has_a_state_of_its_own(folder):
    first, second = load_from_file(str(folder / 'whole' / 'iter_3.pth'))['resume']['ranks']

    assert first['data']['workers'] != second['data']['workers']
    assert not same(first['gradients'], second['gradients'])


def test_one_process_does_not_go_on_from_two(folder, tmp_path):
    checkpoint = folder / 'whole' / 'iter_3.pth'
    runner = make_runner(tmp_path, **SETTINGS, resume=checkpoint)

    with pytest.raises(UserError, match='processes 2 → 1, batch size of all processes 4 → 2'):
        train(runner)


def test_it_may_be_allowed_to(folder, tmp_path):
    checkpoint = folder / 'whole' / 'iter_3.pth'
    hook = dict(HOOK, allow_changed=True)

    runner = make_runner(tmp_path, **SETTINGS, hook=hook, resume=checkpoint)
    train(runner)

    assert runner.iter == 8
