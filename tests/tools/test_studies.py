"""Every study file makes configs that a run accepts, and gives its arms the same budget."""

from pathlib import Path

import pytest

from mmtoken.config_check.check import check_config
from mmtoken.experiments.study_file import load_study
from mmtoken.experiments.study_runs import (
    Run,
    check_plans,
    check_sweep,
    make_grid,
    run_config,
    sweep_grid,
)

REPO = Path(__file__).parents[2]
STUDIES = sorted((REPO / 'tools/analysis_tools/studies').glob('*.py'))


@pytest.fixture(params=STUDIES, ids=lambda path: path.stem)
def study(request, monkeypatch):
    """One study after the other, read where its configs are found."""
    monkeypatch.chdir(REPO)

    return load_study(request.param)


@pytest.fixture
def plans(study, tmp_path, monkeypatch):
    """What the runs of a seed do, and those of the sweep, as if what they start from were there."""
    monkeypatch.setattr(Path, 'exists', lambda self: True)
    tuning = sweep_grid(study) if study.sweep else []
    tuning = [run for run in tuning if run.seed == study.sweep.seeds[0]]
    choices = {(run.arm, run.x): run.candidate for run in tuning}
    runs = [*tuning, *make_grid(study, [1], choices)]
    return {run: run_config(study, run, tmp_path / 'study') for run in runs}


def test_every_run_passes_the_check(plans):
    for plan in plans.values():
        check_config(plan.config)


def test_arms_and_candidates_train_equally_long_on_equal_batches(plans):
    check_plans({run: plan for run, plan in plans.items() if run.tuning})
    check_plans({run: plan for run, plan in plans.items() if not run.tuning})


def test_sweep_chooses_on_held_out_data(study, tmp_path):
    if study.sweep:
        check_sweep(study, tmp_path / 'study')


def test_runs_it_starts_from_are_kept_by_their_study(study, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, 'exists', lambda self: True)
    for arm in study.arms:
        for file in run_config(study, Run(arm.name, study.x['values'][0].value, 1), tmp_path)[1]:
            other = load_study(STUDIES[0].parent / f'{file.parent.parent.name}.py')
            kept = {
                Run(earlier.name, point.value, seed).name
                for earlier in other.arms
                for point in other.x['values']
                # The run's own, or the one that all runs start from.
                for seed in (0, 1)
                if earlier.get('keep_checkpoint')
            }
            assert file.parent.name in kept
