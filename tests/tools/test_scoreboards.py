"""Every row of every scoreboard file makes configs that a run accepts, and models that fit."""

from pathlib import Path

import pytest
from mmengine.config import ConfigDict

from mmtoken.config_check.check import check_config
from mmtoken.dense.pyramid_check import check_pyramids
from mmtoken.experiments.scoreboard_file import load_board
from mmtoken.experiments.scoreboard_stages import build_part, make_studies, plan_chain
from mmtoken.experiments.study_runs import check_plans
from mmtoken.vit.pretrained import compare_state

REPO = Path(__file__).parents[2]
BOARDS = sorted((REPO / 'tools/analysis_tools/scoreboards').glob('*.py'))


@pytest.fixture(scope='module', params=BOARDS, ids=lambda path: path.stem)
def plans(request):
    """What the runs of a seed do, by row and stage, as if their weights were there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPO)
        board = load_board(request.param)
        studies = make_studies(board, request.param)
        return {
            run: plan
            for row in board.rows
            for run, plan in plan_chain(board, studies, row.name, 0, Path('work')).items()
        }


def test_every_run_passes_the_check(plans, monkeypatch):
    monkeypatch.setattr(Path, 'exists', lambda self: True)
    for plan in plans.values():
        check_config(plan.config)


def test_rows_train_equally_long_on_equal_batches(plans):
    check_plans(plans)


def test_every_model_builds_and_its_pyramid_fits(plans):
    for plan in plans.values():
        check_pyramids(build_part(plan.config, plan.config.model, 'meta'))


def test_weights_of_the_classifier_are_those_of_every_stage(plans):
    weights = {
        run.arm: build_part(plan.config, plan.config.model.backbone, 'meta').state_dict()
        for run, plan in plans.items()
        if run.x == 'classification'
    }
    for run, plan in plans.items():
        settings = ConfigDict(plan.config.model.backbone, init_cfg=None)
        backbone = build_part(plan.config, settings, 'meta')
        state = dict(weights[run.arm])
        backbone.complete_on_load(state)
        assert compare_state(backbone, state).complete, run
