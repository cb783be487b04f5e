"""A validation that had not ended when a run was killed is run before training goes on."""

import pytest
from mmengine.hooks import Hook
from resumable_runs import logged, same, trained

from mmtoken.runtime.safe_loading import load_from_file

KINDS = pytest.mark.parametrize('epochs', [True, False], ids=['epochs', 'iterations'])
VALIDATIONS = {
    'anew': dict(num_workers=2),
    'persistent': dict(num_workers=2, persistent_workers=True),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leave out the search for compilers."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


class Scores(Hook):
    """Note when what was measured."""

    def __init__(self):
        self.seen = {}

    def after_val_epoch(self, runner, metrics=None):
        assert runner.iter not in self.seen
        self.seen[runner.iter] = metrics['loss']


def validated(work_dir, epochs, **options):
    """The weights of a run that validates after every other iteration or each epoch, and saves the
    best; and what it measured.
    """
    scores = Scores()
    weights = trained(
        work_dir,
        epochs,
        hooks=(scores,),
        train_cfg=dict(val_interval=1 if epochs else 2),
        **{'checkpoint': dict(by_epoch=epochs, save_best='loss', rule='less'), **options},
    )
    return weights, scores.seen


@KINDS
def test_it_measures_what_the_uninterrupted_run_did(epochs, tmp_path):
    # Of another folder, lest a better model's checkpoint is written once more.
    plain = dict(checkpoint=dict(by_epoch=epochs))
    expected, scores = validated(tmp_path / 'whole', epochs, **plain)
    first = min(scores)
    checkpoint = tmp_path / 'whole' / ('epoch_1.pth' if epochs else f'iter_{first}.pth')

    found, again = validated(tmp_path / 'on', epochs, **plain, resume=checkpoint)

    assert again == scores
    assert same(found, expected)


@pytest.mark.parametrize('validation', VALIDATIONS.values(), ids=VALIDATIONS)
@KINDS
def test_its_workers_go_on_as_those_of_the_uninterrupted_run(epochs, validation, tmp_path):
    settings = dict(length=3, checkpoint=dict(by_epoch=False), validation=validation)
    expected, scores = validated(tmp_path / 'whole', epochs, **settings)

    # Before, in the place of, between and after validations.
    for step in (1, 4, 5, 9):
        checkpoint = tmp_path / 'whole' / f'iter_{step}.pth'
        found, again = validated(tmp_path / 'on', epochs, **settings, resume=checkpoint)
        assert same(found, expected), step
        assert again == {place: scores[place] for place in again}, step


def test_its_workers_go_on_in_a_run_that_is_resumed_twice_before_it(tmp_path):
    settings = dict(length=3, checkpoint=dict(by_epoch=False), validation=VALIDATIONS['persistent'])
    expected, scores = validated(tmp_path / 'whole', True, **settings)

    # The first validation was before both, after four iterations, and the second one is after them.
    first, second = (tmp_path / 'whole' / 'iter_5.pth', tmp_path / 'once' / 'iter_6.pth')
    validated(tmp_path / 'once', True, **settings, resume=first)
    found, again = validated(tmp_path / 'twice', True, **settings, resume=second)

    assert same(found, expected)
    assert again == {place: scores[place] for place in again}


class Peek(Hook):
    """Look at the first batch of the validation and no further."""

    def before_train(self, runner):
        next(iter(runner.val_loop.dataloader))


class Count(Hook):
    """Count the batches of validations."""

    def __init__(self):
        self.seen = []

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(batch_idx)


def test_what_was_broken_off_is_measured_whole_by_a_resumed_run(tmp_path):
    settings = dict(epochs=True, length=2, checkpoint=dict(by_epoch=False))
    settings |= dict(train_cfg=dict(val_interval=1))
    count, again = Count(), Count()
    trained(tmp_path / 'whole', **settings, hooks=(Peek(), count))

    checkpoint = tmp_path / 'whole' / 'iter_2.pth'
    trained(tmp_path / 'on', **settings, hooks=(again,), resume=checkpoint)

    assert len(count.seen) > 2 and again.seen == count.seen


@pytest.mark.parametrize('validation', VALIDATIONS.values(), ids=VALIDATIONS)
def test_following_its_workers_changes_nothing(validation, tmp_path):
    options = dict(checkpoint=dict(by_epoch=False), validation=validation)
    expected, scores = validated(tmp_path / 'without', False, **options, hook=None)

    found, again = validated(tmp_path / 'with', False, **options)

    assert again == scores
    assert same(found, expected)


def test_another_number_of_its_workers_is_said(tmp_path):
    options = dict(checkpoint=dict(by_epoch=False))
    validated(tmp_path / 'whole', False, **options, validation=VALIDATIONS['persistent'])
    resume = dict(options, validation=VALIDATIONS['anew'])

    for step in (1, 5):
        validated(tmp_path / 'on', False, **resume, resume=tmp_path / 'whole' / f'iter_{step}.pth')
        # Before the first validation nothing has been started yet.
        assert ('another number of workers that wait' in logged(tmp_path / 'on')) == (step == 5)


def test_after_the_last_step_it_is_not_lost(tmp_path):
    scores, again, settings = Scores(), Scores(), dict(epochs=False, train_cfg=dict(val_interval=3))
    trained(tmp_path / 'whole', **settings, hooks=(scores,))
    last = tmp_path / 'whole' / 'iter_8.pth'

    trained(tmp_path / 'on', **settings, hooks=(again,), resume=last)

    assert again.seen == {8: scores.seen[8]}


def test_the_best_checkpoint_is_written(tmp_path):
    checkpoint = dict(checkpoint=dict(by_epoch=False))
    validated(tmp_path / 'whole', False, **checkpoint)

    validated(tmp_path / 'on', False, resume=tmp_path / 'whole' / 'iter_8.pth')

    assert (tmp_path / 'on' / 'best_loss_iter_8.pth').is_file()


@KINDS
def test_one_that_had_ended_is_not_run_again(epochs, tmp_path):
    expected, scores = validated(tmp_path / 'whole', epochs)
    # The first is the best so far: its checkpoint was written again when it had ended.
    first = min(scores)
    checkpoint = tmp_path / 'whole' / ('epoch_1.pth' if epochs else f'iter_{first}.pth')
    assert load_from_file(str(checkpoint))['resume']['validated']

    found, again = validated(tmp_path / 'on', epochs, resume=checkpoint)

    assert first not in again
    assert same(found, expected)


def test_a_schedule_that_follows_the_scores_goes_on(tmp_path):
    plateau = dict(type='ReduceOnPlateauLR', monitor='loss', patience=0, threshold=10.0)
    settings = dict(checkpoint=dict(by_epoch=True), param_scheduler=[plateau], length=4)
    expected, _ = validated(tmp_path / 'whole', True, **settings)

    for epoch in (1, 2, 3):
        checkpoint = tmp_path / 'whole' / f'epoch_{epoch}.pth'
        assert same(validated(tmp_path / 'on', True, **settings, resume=checkpoint)[0], expected)


class SaveWithin(Hook):
    """Save in the middle of a validation, as a run does that is asked to end there."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 0 and runner.iter == 4:
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            runner.save_checkpoint(runner.work_dir, 'within.pth', meta=meta)


@pytest.mark.parametrize('validation', [None, VALIDATIONS['persistent']], ids=['', 'persistent'])
@KINDS
def test_one_that_a_checkpoint_was_written_in_is_run_from_its_beginning(
    epochs, validation, tmp_path
):
    plain = dict(checkpoint=None, validation=validation)
    scores = Scores()
    interval = dict(val_interval=1 if epochs else 2)
    options = dict(train_cfg=interval, **plain)
    expected = trained(tmp_path / 'whole', epochs, hooks=(scores, SaveWithin()), **options)

    found, again = validated(
        tmp_path / 'on', epochs, **plain, resume=tmp_path / 'whole' / 'within.pth'
    )

    assert again == {step: score for step, score in scores.seen.items() if step >= 4}
    assert same(found, expected)


@pytest.mark.parametrize('best', [{}, dict(save_best='loss', rule='less')], ids=['', 'best'])
def test_early_stopping_goes_on_counting(best, tmp_path):
    # The second score in a row that is not better by so much ends the run.
    stopping = dict(type='EarlyStoppingHook', monitor='loss', rule='less', patience=2, min_delta=9)
    settings = dict(
        length=6,
        hooks=(stopping,),
        train_cfg=dict(val_interval=1),
        checkpoint=dict(by_epoch=True, **best),
    )
    expected = trained(tmp_path / 'whole', **settings)
    files = sorted((tmp_path / 'whole').glob('epoch_*.pth'))
    assert 2 < len(files) < 6

    for checkpoint in files:
        assert same(trained(tmp_path / 'on', **settings, resume=checkpoint), expected)


class SaveAfter(Hook):
    """Save when a validation has ended, as a run does that is asked to end and could not before."""

    def after_val(self, runner):
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        runner.save_checkpoint(runner.work_dir, f'after_{runner.epoch}.pth', meta=meta)


def test_a_run_that_was_stopped_early_stays_so(tmp_path):
    stopping = dict(type='EarlyStoppingHook', monitor='loss', rule='less', patience=1, min_delta=9)
    settings = dict(length=4, hooks=(stopping, SaveAfter()), train_cfg=dict(val_interval=1))
    expected = trained(tmp_path / 'whole', **settings)

    found = trained(tmp_path / 'on', **settings, resume=tmp_path / 'whole' / 'after_2.pth')

    assert same(found, expected)
    assert not list((tmp_path / 'on').glob('after_*.pth'))
