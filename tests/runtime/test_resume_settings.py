"""Other settings are refused or said; pre-trained weights are not needed again."""

import pytest
import torch
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop
from resumable_runs import HOOK, Noisy, logged, make_runner, same, train, trained
from torch.utils.data import DataLoader, RandomSampler, Subset

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.resume_settings import settings_of
from mmtoken.runtime.safe_loading import load_from_file


class Images(Noisy):
    """In a folder, as the libraries' data sets are."""

    def __init__(self, folder, root='/data'):
        super().__init__()
        self.data_root, self.data_prefix = root, dict(img_path=f'{root}/{folder}')


ALLOWING = dict(HOOK, allow_changed=True)
CHANGES = {
    'batch': (dict(loader=dict(batch_size=4)), 'batch size of a process 2 → 4, .*all .* 2 → 4'),
    'workers': (dict(workers=0), 'workers of a process 2 → 0'),
    'persistent': (dict(persistent=True), 'persistent workers False → True'),
    'data': (dict(loader=dict(dataset=Noisy(10))), 'training samples 8 → 10'),
    'files': (dict(loader=dict(dataset=Images('val'))), 'training data Noisy → Images val'),
    'accumulation': (dict(accumulate=4), 'batches of a step 1 → 4'),
    'loop': (dict(epochs=False), 'train loop EpochBasedTrainLoop → IterBasedTrainLoop'),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leave out the search for compilers."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Of a run with two workers, in the middle of its second epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        folder = tmp_path_factory.mktemp('whole')
        trained(folder, workers=2)
    return folder / 'iter_6.pth'


@pytest.mark.parametrize(('change', 'sentence'), CHANGES.values(), ids=CHANGES)
def test_another_setting_is_refused(change, sentence, checkpoint, tmp_path):
    runner = make_runner(tmp_path, **{'workers': 2, 'resume': checkpoint, **change})

    with pytest.raises(UserError, match=f'{sentence}.*resume.allow_changed=True'):
        train(runner)


@pytest.mark.parametrize(('change', 'sentence'), CHANGES.values(), ids=CHANGES)
def test_another_setting_may_be_allowed(change, sentence, checkpoint, tmp_path):
    runner = make_runner(
        tmp_path, **{'workers': 2, 'resume': checkpoint, 'hook': ALLOWING, **change}
    )

    train(runner)

    assert 'which is allowed' in logged(tmp_path)
    assert runner.iter > 6


@pytest.mark.parametrize(
    ('before', 'now', 'alike'),
    [
        (Images('train'), Images('train', '/scratch/7'), True),
        (Images(''), Images('', '/scratch/7'), True),
        (Images('train'), Images('val'), False),
        (Subset(Images('train'), [1]), Subset(Images('val'), [1]), False),
        (Images('a') + Images('b'), Images('a') + Images('c'), False),
    ],
)
def test_data_are_told_by_the_names_of_their_files(before, now, alike, tmp_path):
    found = [
        settings_of(make_runner(tmp_path, loader=dict(dataset=dataset)).train_loop)['data']
        for dataset in (before, now)
    ]

    assert (found[0] == found[1]) == alike


def test_a_checkpoint_that_does_not_say_is_not_refused(checkpoint, tmp_path):
    older = load_from_file(str(checkpoint))
    for name in ('accumulated', 'data'):
        del older['resume']['settings'][name]
    torch.save(older, tmp_path / 'older.pth')

    assert same(
        trained(tmp_path, workers=2, resume=tmp_path / 'older.pth'),
        trained(tmp_path, workers=2, resume=checkpoint),
    )


def test_with_larger_batches_it_goes_on_after_the_same_samples(checkpoint, tmp_path):
    change = dict(workers=2, loader=dict(batch_size=4), hook=ALLOWING)
    runner = make_runner(tmp_path, resume=checkpoint, **change)

    train(runner)

    # Two of four batches of two were seen in the epoch, so one of two of four is left.
    assert runner.iter == 6 + 1


def test_the_state_is_read_safely(checkpoint):
    state = load_from_file(str(checkpoint))['resume']

    assert state['ranks'][0]['data']['handed_out'] == 2


def test_a_checkpoint_without_the_state_is_resumed_as_before(tmp_path):
    trained(tmp_path / 'whole', hook=None)
    settings = dict(resume=tmp_path / 'whole' / 'iter_4.pth')
    expected = trained(tmp_path / 'without', **settings, hook=None)

    found = trained(tmp_path / 'with', **settings)

    assert same(found, expected)
    assert 'written without ExactResumeHook' in logged(tmp_path / 'with')


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loop_of_iterations_does_so_too(workers, tmp_path):
    trained(tmp_path / 'whole', False, hook=None)
    settings = dict(epochs=False, workers=workers, resume=tmp_path / 'whole' / 'iter_4.pth')
    expected = trained(tmp_path / 'without', **settings, hook=None)

    assert same(trained(tmp_path / 'with', **settings), expected)


@pytest.mark.parametrize('named', [True, False], ids=['named', 'recorded'])
def test_the_pretrained_file_is_not_needed_again(named, tmp_path):
    file = tmp_path / 'pretrained.pth'
    torch.save(make_runner(tmp_path / 'before').model.state_dict(), file)
    init = dict(init_cfg=dict(type='Pretrained', checkpoint=str(file)))
    expected = trained(tmp_path, **init)
    file.unlink()
    runner = make_runner(tmp_path, **init, resume=tmp_path / 'iter_2.pth')
    if not named:
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
        runner._load_from = None

    train(runner)

    assert same(dict(runner.model.state_dict()), expected)
    assert 'init_weights' not in vars(runner.model)


def test_it_is_not_where_checkpoints_have_a_folder_of_their_own(tmp_path):
    file, out = tmp_path / 'pretrained.pth', dict(out_dir=str(tmp_path / 'out'))
    torch.save(make_runner(tmp_path / 'before').model.state_dict(), file)
    init = dict(init_cfg=dict(type='Pretrained', checkpoint=str(file)), checkpoint=out)
    expected = trained(tmp_path / 'run', **init)
    file.unlink()
    (tmp_path / 'run' / 'last_checkpoint').write_text('../out/run/iter_2.pth')
    runner = make_runner(tmp_path / 'run', **init)
    runner._resume = True

    train(runner)

    assert same(dict(runner.model.state_dict()), expected)


def test_with_nothing_to_resume_the_weights_are_initialized(tmp_path, monkeypatch):
    init = dict(init_cfg=dict(type='Constant', layer='Linear', val=0.3))
    expected = trained(tmp_path / 'first', **init)
    runner = make_runner(tmp_path / 'second', **init)
    runner._resume = True
    # A file that may be a checkpoint, and is none.
    (tmp_path / 'second' / 'other.pth').touch()
    monkeypatch.setattr('mmengine.runner.runner.find_latest_checkpoint', lambda folder: None)

    train(runner)

    assert same(dict(runner.model.state_dict()), expected)


class OwnLoop(IterBasedTrainLoop):
    """A loop that nothing is known of."""

    def run(self):
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        for batch in self.dataloader:
            if self._iter == self._max_iters:
                break
            self.runner.model.train()
            self.run_iter(batch)
        self.runner.call_hook('after_train')


def test_an_own_loop_trains_and_says_that_its_place_is_lost(tmp_path):
    LOOPS.register_module(module=OwnLoop, force=True)
    settings = dict(epochs=False, train_cfg=dict(type='OwnLoop'))
    trained(tmp_path / 'whole', **settings)

    trained(tmp_path / 'on', **settings, resume=tmp_path / 'whole' / 'iter_3.pth')

    assert 'place in the data cannot be restored for OwnLoop' in logged(tmp_path / 'on')


@pytest.mark.parametrize('place', ['loader', 'sampler'])
def test_an_order_that_is_drawn_from_an_own_generator_is_said_to_be_lost(place, tmp_path):
    def loader():
        data, generator = Noisy(), torch.Generator()
        sampler = RandomSampler(data, generator=generator if place == 'sampler' else None)
        generators = dict(generator=generator) if place == 'loader' else {}
        return DataLoader(data, batch_size=2, sampler=sampler, **generators)

    trained(tmp_path / 'whole', loader=loader())

    trained(tmp_path / 'on', loader=loader(), resume=tmp_path / 'whole' / 'iter_3.pth')

    assert 'place in the data cannot be restored' in logged(tmp_path / 'on')


def test_validating_alone_is_no_training(tmp_path):
    runner = make_runner(tmp_path)

    runner.val()

    assert isinstance(runner._train_loop, dict)
