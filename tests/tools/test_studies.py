"""Every study file makes configs that a run accepts, and gives its arms the same budget."""

from pathlib import Path

import pytest

from mmtoken.config_check.check import check_config
from mmtoken.experiments.study_file import load_study
from mmtoken.experiments.study_runs import Run, run_config

REPO = Path(__file__).parents[2]
STUDIES = sorted((REPO / 'tools/analysis_tools/studies').glob('*.py'))


@pytest.fixture(params=STUDIES, ids=lambda path: path.stem)
def study(request, monkeypatch):
    """One study after the other, read where its configs are found."""
    monkeypatch.chdir(REPO)

    return load_study(request.param)


@pytest.fixture
def configs(study, tmp_path, monkeypatch):
    """The merged config of each arm at each x, as if the runs it starts from were there."""

    monkeypatch.setattr(Path, 'exists', lambda self: True)
    runs = [Run(arm.name, point.value, 1) for arm in study.arms for point in study.x['values']]
    return {run: run_config(study, run, tmp_path / 'study')[0] for run in runs}


def test_every_run_passes_the_check(configs):
    for config in configs.values():
        check_config(config)


def test_arms_train_equally_long_on_equal_batches(configs):
    budgets = {
        (str(config.train_cfg.to_dict()), config.train_dataloader.batch_size)
        for config in configs.values()
    }

    assert len(budgets) == 1


def test_runs_it_starts_from_are_kept_by_their_study(study, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, 'exists', lambda self: True)
    for arm in study.arms:
        for file in run_config(study, Run(arm.name, study.x['values'][0].value, 1), tmp_path)[1]:
            other = load_study(STUDIES[0].parent / f'{file.parent.parent.name}.py')
            kept = {
                Run(earlier.name, point.value, 1).name
                for earlier in other.arms
                for point in other.x['values']
                if earlier.get('keep_checkpoint')
            }
            assert file.parent.name in kept
