"""A study's file, the configs of its runs, and their equal budgets."""

from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config
from study_files import STUDY, SWEEP, start_from_another_study, write_study

from mmtoken.errors import UserError
from mmtoken.experiments.study_draws import drawn_indices
from mmtoken.experiments.study_file import load_study
from mmtoken.experiments.study_runs import (
    Plan,
    Run,
    check_budget,
    check_plans,
    run_config,
)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a config and a study."""
    monkeypatch.chdir(tmp_path)
    write_study()


def test_unequal_budgets_are_refused():
    runs = [dict(arm='Flat', x=100, iterations=10), dict(arm='Deep', x=100, iterations=12)]
    with pytest.raises(UserError, match='Deep trained 12 iterations at 100, and Flat trained 10'):
        check_budget(runs)


def test_weights_of_another_study_are_inputs(workplace):
    weights = start_from_another_study()
    cfg, files, _ = run_config(load_study(Path('depth.py')), Run('Deep', 2, 0), Path('work/depth'))
    assert files == [weights]
    assert cfg.model.backbone.init_cfg.checkpoint == str(weights)


def merged(run: Run, text: str = STUDY) -> Config:
    """The config of a run of a study."""
    Path('depth.py').write_text(text)
    return run_config(load_study(Path('depth.py')), run, Path('work/depth')).config


def test_names_of_runs_are_folders():
    assert Run('No mixing', 600, 1).name == 'no-mixing_600_seed1'
    assert Run('A/B', '100 scenes, 1,200 its', 0).name == 'a-b_100-scenes-1-200-its_seed0'
    assert Run('A', 4, 100, 'rate 1', tuning=True).name == 'sweep/a_4_rate-1_seed100'


def test_later_options_win_over_earlier_ones(workplace):
    key = "'optim_wrapper.optimizer.lr'"
    study = STUDY + f'options = {{{key}: 1}}\n'
    point = study.replace('dict(value=4)', f'dict(value=4, options={{{key}: 2}})')
    arm = point.replace("config='model.py')", f"config='model.py', options={{{key}: 3}})")
    rates = [merged(Run('Flat', 4, 0), text).optim_wrapper.optimizer.lr
             for text in (STUDY, study, point, arm)]  # fmt: skip
    assert rates == [0, 1, 2, 3]


def test_candidate_wins_over_the_options_of_the_study(workplace):
    text = SWEEP + "options = {'optim_wrapper.optimizer.lr': 7}\n"
    cfg = merged(Run('Flat', 4, 0, 'rate 2'), text)
    assert cfg.optim_wrapper.optimizer.lr == 2


def test_only_runs_of_the_sweep_are_evaluated_on_held_out_data(workplace):
    run = Run('Flat', 4, 0, 'rate 2')
    final, tuning = merged(run, SWEEP), merged(replace(run, tuning=True), SWEEP)
    assert final.test_dataloader.dataset.split == 'val'
    assert tuning.test_dataloader.dataset.indices == [8, 9]


def test_subset_comes_from_the_file_of_draws(workplace):
    runs = [Run('Flat', 4, seed, 'rate 1') for seed in (0, 1, 5)]
    first, second, sixth = (merged(run, SWEEP).train_dataloader.dataset.indices for run in runs)
    assert first == drawn_indices(Path('draws.json'), 4, 0) == sixth != second


def test_iterations_of_a_point_win_over_those_of_the_study(workplace):
    text = STUDY.replace('dict(value=4)', 'dict(value=4, iterations=20)') + 'iterations = 10\n'
    lengths = [merged(Run('Flat', x, 0), text).train_cfg.max_iters for x in (2, 4)]
    assert lengths == [10, 20]


def test_sweep_may_be_shorter(workplace):
    text = SWEEP.replace('seeds=[100]', 'seeds=[100], iterations=5') + 'iterations = 10\n'
    run = Run('Flat', 4, 100, 'rate 1')
    lengths = [merged(r, text).train_cfg.max_iters for r in (run, replace(run, tuning=True))]
    assert lengths == [10, 5]


def test_schedule_replaces_one_of_epochs(workplace):
    cfg = merged(Run('Flat', 4, 0), STUDY + 'iterations = 50\n')
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=50, val_interval=50)
    warmup, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end, cosine.begin, cosine.end) == (0, 5, 5, 50)


def test_study_may_change_the_schedule_of_its_iterations(workplace):
    text = STUDY + "iterations = 50\noptions = {'param_scheduler.0.end': 20}\n"
    assert merged(Run('Flat', 4, 0), text).param_scheduler[0].end == 20


def test_digest_does_not_depend_on_the_folder_of_the_studies(workplace):
    start_from_another_study()
    study = load_study(Path('depth.py'))
    digests = {run_config(study, Run('Deep', 2, 0), Path(f)).digest for f in ('work/a', 'else/b')}
    assert len(digests) == 1


def test_digest_depends_on_what_another_study_is_asked_for(workplace):
    start_from_another_study()
    study = load_study(Path('depth.py'))
    study.arms[0].options = dict(study.arms[1].options)
    study.arms[0].options['model.backbone.init_cfg'] = dict(checkpoint='{studies}/b/b_{seed}.pth')
    runs = [Run('Flat', 2, 0), Run('Deep', 2, 0)]
    assert len({run_config(study, run, Path('work/depth')).digest for run in runs}) == 2


def plan(**changes: object) -> Plan:
    """What a run does, in as far as its budget is concerned."""
    cfg = dict(train_cfg=dict(max_iters=10), train_dataloader=dict(batch_size=4))
    return Plan(Config(cfg | changes), [], '')


@pytest.mark.parametrize(
    'changes', [dict(train_cfg=dict(max_iters=12)), dict(train_dataloader=dict(batch_size=8))]
)
def test_unequal_plans_are_refused(changes):
    plans = {Run('Flat', 2, 0): plan(), Run('Deep', 2, 0): plan(**changes)}
    with pytest.raises(UserError, match='deep_2_seed0 would train 1.*give every arm'):
        check_plans(plans)


def test_plans_may_differ_between_points():
    check_plans({Run('Flat', 2, 0): plan(), Run('Flat', 4, 0): plan(train_cfg=dict(max_iters=12))})


def test_an_arm_may_have_options_of_each_seed(workplace):
    key = "'optim_wrapper.optimizer.lr'"
    options = f'options={{{key}: 1}}, seed_options=[{{{key}: 2}}, {{{key}: 3}}]'
    text = STUDY.replace("config='model.py')", f"config='model.py', {options})", 1)

    rates = [merged(Run('Flat', 4, seed), text).optim_wrapper.optimizer.lr for seed in (0, 1)]

    assert rates == [2, 3]
    with pytest.raises(UserError, match="'Flat' has seed_options of seeds 0 to 1 and none of 2"):
        merged(Run('Flat', 4, 2), text)
