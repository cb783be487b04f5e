"""A study's file, the configs of its runs, and their equal budgets."""

from pathlib import Path

import pytest
from study_files import STUDY, start_from_another_study, write_study

from mmtoken.errors import UserError
from mmtoken.experiments.study_draws import subset_indices
from mmtoken.experiments.study_file import load_study
from mmtoken.experiments.study_runs import Run, check_budget, run_config


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a config and a study."""
    monkeypatch.chdir(tmp_path)
    write_study()


def test_smaller_subset_is_part_of_the_larger():
    small, large = subset_indices(10, 100, 3), subset_indices(30, 100, 3)
    assert len(set(small)) == 10 and set(small) < set(large)


def test_subset_depends_on_the_seed():
    assert subset_indices(10, 100, 0) != subset_indices(10, 100, 1)


def test_unequal_budgets_are_refused():
    runs = [dict(arm='Flat', x=100, iterations=10), dict(arm='Deep', x=100, iterations=12)]
    with pytest.raises(UserError, match='Deep trained 12 iterations at 100, and Flat trained 10'):
        check_budget(runs)


def test_study_without_control_is_refused(workplace):
    Path('depth.py').write_text(STUDY.replace("control = 'Flat'", "control = 'Wide'"))
    with pytest.raises(UserError, match="the control 'Wide'"):
        load_study(Path('depth.py'))


def test_unknown_name_in_a_study_is_refused(workplace):
    Path('depth.py').write_text(STUDY + 'seeds = 3\n')
    with pytest.raises(UserError, match='sets seeds, which no study has'):
        load_study(Path('depth.py'))


def test_weights_of_another_study_are_inputs(workplace):
    weights = start_from_another_study()
    cfg, files, _ = run_config(load_study(Path('depth.py')), Run('Deep', 2, 0), Path('work/depth'))
    assert files == [weights]
    assert cfg.model.backbone.init_cfg.checkpoint == str(weights)
