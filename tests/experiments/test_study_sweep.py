"""How a study chooses the options of its arms."""

from pathlib import Path

import pytest
from mmengine.config import Config
from study_files import SWEEP, write_study

from mmtoken.errors import UserError
from mmtoken.experiments.study_file import load_study
from mmtoken.experiments.study_sweep import check_held_out, choose, tuned_x


@pytest.fixture
def sweep_study(tmp_path, monkeypatch):
    """A function that reads the study with a sweep, some of its text replaced."""
    monkeypatch.chdir(tmp_path)

    def load(old: str = '', new: str = '') -> Config:
        write_study(SWEEP.replace(old, new))
        return load_study(Path('depth.py'))

    return load


def entry(candidate: str, value: float, arm: str = 'Flat', seed: int = 100) -> dict:
    """A finished run of the sweep at x = 4."""
    metrics = {'accuracy/top1': value}
    return dict(arm=arm, x=4, seed=seed, candidate=candidate, metrics=metrics)


def test_best_mean_over_the_seeds_is_chosen(sweep_study):
    study = sweep_study('seeds=[100]', 'seeds=[100, 101]')
    entries = [entry('rate 1', 9), entry('rate 1', 1, seed=101)]
    entries += [entry('rate 2', 6), entry('rate 2', 6, seed=101)]
    assert choose(study, entries) == {('Flat', 4): 'rate 2'}


def test_nothing_is_chosen_before_every_candidate_is_finished(sweep_study):
    assert choose(sweep_study(), [entry('rate 1', 9)]) == {}


def test_first_of_equal_candidates_is_chosen(sweep_study):
    assert choose(sweep_study(), [entry('rate 2', 5), entry('rate 1', 5)]) == {
        ('Flat', 4): 'rate 1'
    }


def test_candidate_without_a_value_is_not_chosen(sweep_study):
    found = choose(sweep_study(), [entry('rate 1', float('nan')), entry('rate 2', 1)])
    assert found == {('Flat', 4): 'rate 2'}


def test_nearest_tuned_x_counts_in_the_order_of_the_study(sweep_study):
    points = ', '.join(f'dict(value={x})' for x in (1, 4, 5, 6, 8))
    study = sweep_study('dict(value=2), dict(value=4)', points)
    study.sweep.x = [6, 4]
    assert [tuned_x(study, x) for x in (1, 4, 5, 6, 8)] == [4, 4, 4, 6, 6]


@pytest.mark.parametrize(
    'options',
    [
        "{'model.backbone.depth': 3}",
        "{'model.backbone.depth.0': 3}",
        "{'model.backbone': dict(depth=3)}",
        "{'model': dict(_delete_=True, type='Other')}",
    ],
)
def test_candidate_that_sets_what_an_arm_sets_is_refused(sweep_study, options):
    with pytest.raises(UserError, match="the candidate 'rate 1' sets model.*the arm 'Deep'"):
        sweep_study("{'optim_wrapper.optimizer.lr': 1}", options)


def test_candidate_may_set_a_neighbour_of_what_an_arm_sets(sweep_study):
    options = "{'model.backbone': dict(depths=3)}"
    assert sweep_study("{'optim_wrapper.optimizer.lr': 1}", options).sweep.candidates


def test_candidates_need_different_names(sweep_study):
    with pytest.raises(UserError, match=r"have the names \['rate 2', 'rate 2'\]"):
        sweep_study("name='rate 1'", "name='rate 2'")


def held_out(train: object, test: object, ann_file: str = 'train.json') -> None:
    """Check a sweep that trains with some indices of a file, and measures with others."""
    trained = dict(ann_file='train.json', indices=train)
    tuning = Config(
        dict(
            train_dataloader=dict(dataset=trained),
            test_dataloader=dict(dataset=dict(ann_file=ann_file, indices=test)),
        )
    )
    final = Config(dict(test_dataloader=dict(dataset=dict(ann_file='val.json'))))
    check_held_out(tuning, final, 'Flat')


@pytest.mark.parametrize(
    ('train', 'test', 'number'),
    [([1, 2], [2, 3], '1'), (3, [1, 2], '2'), (None, [2], 'all'), ([1], None, 'all')],
)
def test_measuring_what_was_trained_with_is_refused(train, test, number):
    with pytest.raises(UserError, match=f'on {number} of the samples that it trains with'):
        held_out(train, test)


def test_other_samples_of_the_same_file_are_held_out():
    held_out([0, 1], [2, 3])


def test_same_samples_of_another_file_are_held_out():
    held_out([0, 1], [0, 1], ann_file='other.json')
