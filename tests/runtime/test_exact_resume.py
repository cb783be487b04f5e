"""A run that is resumed from any checkpoint ends with the weights of the uninterrupted one."""

import os
import signal

import pytest
from mmengine.hooks import Hook
from resumable_runs import BATCHES, Noisy, make_runner, same, train, trained
from torch.utils.data import DataLoader, RandomSampler

LOADERS = [(0, False), (2, False), (2, True), (3, False), (3, True)]
KINDS = pytest.mark.parametrize('epochs', [True, False], ids=['epochs', 'iterations'])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leave out what takes long: looking for compilers, and mmengine's nap between two passes."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)


def resumed_anywhere(tmp_path, steps=range(1, 2 * BATCHES + 1), **settings):
    """The steps after which a resumed run does not end as the uninterrupted one."""
    expected = trained(tmp_path / 'whole', **settings)
    checkpoints = {step: tmp_path / 'whole' / f'iter_{step}.pth' for step in steps}
    return [
        step
        for step, checkpoint in checkpoints.items()
        if not same(trained(tmp_path / 'resumed', **settings, resume=checkpoint), expected)
    ]


SOME = [
    (True, 0, False, None),
    (True, 2, True, None),
    (True, 3, False, 3),
    (False, 0, False, 3),
    (False, 2, False, None),
    (False, 3, True, 3),
]


@pytest.mark.parametrize(('epochs', 'workers', 'persistent', 'seed'), SOME)
def test_resumed_it_ends_with_the_same_weights(epochs, workers, persistent, seed, tmp_path):
    settings = dict(epochs=epochs, workers=workers, persistent=persistent, seed=seed)

    assert resumed_anywhere(tmp_path, [1, 4, 6], **settings) == []


@pytest.mark.long
@pytest.mark.parametrize('seed', [3, None])
@pytest.mark.parametrize(('workers', 'persistent'), LOADERS)
@KINDS
def test_resumed_after_any_step_it_does(epochs, workers, persistent, seed, tmp_path):
    settings = dict(epochs=epochs, workers=workers, persistent=persistent, seed=seed)

    assert resumed_anywhere(tmp_path, **settings) == []


def test_without_the_hook_it_ends_with_others(tmp_path):
    assert resumed_anywhere(tmp_path, [3], workers=2, hook=None) == [3]


@pytest.mark.parametrize(('workers', 'persistent'), [(0, False), (2, False), (2, True)])
@KINDS
def test_the_hook_changes_nothing_in_an_uninterrupted_run(epochs, workers, persistent, tmp_path):
    settings = dict(epochs=epochs, workers=workers, persistent=persistent)

    found = trained(tmp_path / 'with', **settings)

    assert same(found, trained(tmp_path / 'without', **settings, hook=None))


@pytest.mark.parametrize(('workers', 'persistent'), [(0, False), (3, False), (2, True)])
def test_a_loop_of_iterations_may_begin_its_data_anew(workers, persistent, tmp_path):
    settings = dict(epochs=False, length=3, workers=workers, persistent=persistent, seed=None)

    assert resumed_anywhere(tmp_path, [4, 7], **settings, sampler='DefaultSampler') == []


@pytest.mark.parametrize('workers', [0, 2])
@KINDS
def test_batches_of_alike_shapes_keep_their_order(epochs, workers, tmp_path):
    sampler = dict(type='mmdet.AspectRatioBatchSampler')
    settings = dict(epochs=epochs, workers=workers, loader=dict(batch_sampler=sampler))

    assert resumed_anywhere(tmp_path, [1, 3, 6], **settings) == []


@pytest.mark.parametrize('accumulate', [3, 16])
def test_accumulated_gradients_go_on(accumulate, tmp_path):
    assert resumed_anywhere(tmp_path, [1, 2, 3, 7], epochs=False, accumulate=accumulate) == []


def test_the_moving_average_goes_on(tmp_path):
    hooks = (dict(type='EMAHook', momentum=0.1),)
    whole = make_runner(tmp_path / 'whole', workers=2, hooks=hooks)
    train(whole)

    resumed = make_runner(
        tmp_path / 'on', workers=2, hooks=hooks, resume=tmp_path / 'whole' / 'iter_3.pth'
    )
    train(resumed)

    averages = [
        next(hook for hook in runner.hooks if hasattr(hook, 'ema_model')).ema_model.state_dict()
        for runner in (whole, resumed)
    ]
    assert same(*averages)


def test_checkpoints_of_whole_epochs_do(tmp_path):
    settings = dict(length=3, workers=2, persistent=True, checkpoint=dict(by_epoch=True))
    expected = trained(tmp_path / 'whole', **settings)

    for epoch in (1, 2):
        checkpoint = tmp_path / 'whole' / f'epoch_{epoch}.pth'
        assert same(trained(tmp_path / 'on', **settings, resume=checkpoint), expected)


class Place(Hook):
    """Note the numbers of batches, and what is loaded where there are no workers."""

    def __init__(self):
        self.numbers = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.numbers.append((runner.epoch, runner.iter, batch_idx))


def test_hooks_see_the_numbers_of_batches_go_on(tmp_path):
    trained(tmp_path / 'whole')
    place = Place()

    trained(tmp_path / 'on', resume=tmp_path / 'whole' / 'iter_3.pth', hooks=(place,))

    assert place.numbers == [(0, 3, 3), (1, 4, 0), (1, 5, 1), (1, 6, 2), (1, 7, 3)]


@KINDS
def test_nothing_is_loaded_to_be_skipped(epochs, tmp_path, monkeypatch):
    trained(tmp_path / 'whole', epochs)
    load, loaded = Noisy.__getitem__, []
    monkeypatch.setattr(Noisy, '__getitem__', lambda *a: loaded.append(a[0]) or load(*a))

    trained(tmp_path / 'on', epochs, resume=tmp_path / 'whole' / 'iter_7.pth')

    assert [data.length for data in loaded if data.length == 2 * BATCHES] == [2 * BATCHES] * 2


class Kill(Hook):
    """End the process as the kernel does when memory is short."""

    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 4:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='a process that is killed is forked')
@KINDS
def test_a_killed_process_loses_nothing(epochs, tmp_path):
    settings = dict(epochs=epochs, workers=2, persistent=True)
    expected = trained(tmp_path / 'whole', **settings)
    child = os.fork()
    if not child:
        trained(tmp_path / 'killed', **settings, hooks=(Kill(),))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL

    last = (tmp_path / 'killed' / 'last_checkpoint').read_text()

    assert last.endswith('iter_5.pth')
    assert same(trained(tmp_path / 'killed', **settings, resume=last), expected)


@pytest.mark.parametrize(('workers', 'persistent'), [(0, False), (2, False), (2, True)])
def test_an_order_that_is_drawn_as_it_begins_is_drawn_again(workers, persistent, tmp_path):
    class Loader(DataLoader):
        """A subclass, built by hand."""

    def settings():
        data = Noisy()
        options = dict(num_workers=workers, persistent_workers=persistent)
        return dict(loader=Loader(data, batch_size=2, sampler=RandomSampler(data), **options))

    expected = trained(tmp_path / 'whole', **settings())

    for step in (3, 6):
        checkpoint = tmp_path / 'whole' / f'iter_{step}.pth'
        assert same(trained(tmp_path / 'on', **settings(), resume=checkpoint), expected)


def test_a_resumed_run_is_resumed_within_the_same_round_of_workers(tmp_path):
    settings = dict(epochs=False, workers=3)
    expected = trained(tmp_path / 'whole', **settings)
    trained(tmp_path / 'first', **settings, resume=tmp_path / 'whole' / 'iter_4.pth')

    found = trained(tmp_path / 'second', **settings, resume=tmp_path / 'first' / 'iter_5.pth')

    assert same(found, expected)


SWITCHES = {
    'PipelineSwitchHook': dict(type='mmdet.PipelineSwitchHook', switch_epoch=1, switch_pipeline=[]),
    'SwitchRecipeHook': dict(
        type='mmpretrain.SwitchRecipeHook', schedule=[dict(action_epoch=2, train_pipeline=[])]
    ),
}


@pytest.mark.parametrize('switch', SWITCHES.values(), ids=SWITCHES)
def test_hooks_that_want_new_workers_get_them_in_the_same_epoch(switch, tmp_path):
    settings = dict(length=3, workers=2, persistent=True, hooks=(switch,))
    whole = dict(settings, checkpoint=dict(by_epoch=True))
    expected = trained(tmp_path / 'whole', **settings)
    trained(tmp_path / 'epochs', **whole)
    steps = [tmp_path / 'whole' / f'iter_{step}.pth' for step in (6, 9)]
    epochs = [tmp_path / 'epochs' / f'epoch_{epoch}.pth' for epoch in (1, 2)]

    for checkpoint in steps + epochs:
        found = trained(tmp_path / 'on', **settings, resume=checkpoint)
        assert same(found, expected), checkpoint.name
