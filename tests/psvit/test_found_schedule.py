"""What the committed search of digits found is what its leaf trains and its study compares."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmtoken.config_check.check import check_config
from mmtoken.experiments.study_file import load_study
from mmtoken.psvit.search import build_space
from mmtoken.psvit.search.search_file import load_search

REPO = Path(__file__).parents[2]
FOLDER = REPO / 'docs/search/digits'
STAGES = 'model.backbone.arch.stages'


@pytest.fixture
def results():
    return json.loads((FOLDER / 'results.json').read_text())


@pytest.fixture
def stages(monkeypatch):
    """The stages of a schedule that is written in letters."""
    monkeypatch.chdir(REPO)
    space = build_space(load_search(Path('tools/searches/digits.py')).space)
    return lambda letters: space.stages(space.read(letters))


@pytest.fixture
def arms(stages):
    study = load_study(Path('tools/analysis_tools/studies/psvit_search.py'))
    return {arm.name: arm for arm in study.arms}


def test_the_leaf_is_a_config_of_the_schedule_found(results, stages):
    leaf = Config.fromfile(FOLDER / 'digits_found.py')

    check_config(leaf)
    assert leaf.model.backbone.stages == stages(results['found'])


def test_the_study_trains_the_schedule_found_and_those_that_chance_drew(results, stages, arms):
    drawn = [e['schedule'] for e in results['retrained'] if e['name'].startswith('random')]

    assert arms['searched'].options[STAGES] == stages(results['found'])
    assert [options[STAGES] for options in arms['random'].seed_options] == [*map(stages, drawn)]
