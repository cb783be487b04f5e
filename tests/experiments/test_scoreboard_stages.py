"""A scoreboard's file, and the configs of its runs."""

from pathlib import Path

import pytest
from scoreboard_files import DENSE, change_board, write_board

from mmtoken.errors import UserError
from mmtoken.experiments.scoreboard_file import load_board
from mmtoken.experiments.scoreboard_stages import make_studies, plan_chain

BOARD_FILE = Path('board.py')


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder with a board and its configs."""
    monkeypatch.chdir(tmp_path)
    write_board()


def plans(row: str, seed: int = 0, folder: str = 'work') -> dict:
    """What the runs of a row and a seed do, by stage."""
    board = load_board(BOARD_FILE)
    planned = plan_chain(board, make_studies(board, BOARD_FILE), row, seed, Path(folder))
    return {run.x: plan for run, plan in planned.items()}


def digests(row: str = 'Flat', **where) -> dict[str, str]:
    """The digests of a row's runs, by stage."""
    return {stage: plan.digest for stage, plan in plans(row, **where).items()}


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("question = 'What", "query = 'What", 'does not set question'),
        ("name='Flat', ", "name='Flat', option={}, ", 'a row of .* sets option, which nothing'),
        ('iterations=4', 'scenes=4, iterations=4', 'the stage classification .* sets scenes'),
        ('iterations=4', "iterations='4'", "classification .* has iterations='4'; give a whole"),
        (
            "name='Flat', ",
            "name='Flat', options=[], ",
            r'a row of .* has options=\[\]; give a dict',
        ),
        ("control = 'Flat'", "control = 'Fat'", "control of .* 'Fat', which is no row"),
        ("against='Deep'", "against='Dep'", "Deep, pooled of .* 'Dep', which is no row"),
        ("name='Deep, pooled'", "name='flat'", 'a name that differs from the others'),
    ],
)
def test_board_that_contradicts_itself_is_refused(old, new, message):
    change_board(old, new)
    with pytest.raises(UserError, match=message):
        load_board(BOARD_FILE)


def test_missing_dense_config_is_named():
    change_board("config='dense.py'", "config='dens.py'")
    with pytest.raises(UserError, match="config 'dens.py' does not exist"):
        plans('Flat')


@pytest.mark.parametrize('stage', ['probe', 'detection', 'segmentation'])
def test_backbone_goes_on_as_the_classifier_has_it_with_what_the_stage_needs(stage):
    plan = plans('Deep, pooled', 1)[stage]
    backbone = plan.config.model.backbone
    assert backbone.type == 'mmpretrain.TokenViT'
    assert (backbone.arch.num_layers, backbone.pool_before) == (3, (1,))
    assert (backbone.img_size, backbone.out_type, backbone.window_size) == (32, 'featmap', 4)
    assert backbone.init_cfg == dict(
        type='Pretrained',
        checkpoint='work/deep-pooled_classification_seed1/final.pth',
        prefix='backbone.',
    )


def test_neck_follows_the_stride_of_the_pooled_backbone():
    strides = [
        plans(row)['detection'].config.model.neck.patch_size for row in ('Deep', 'Deep, pooled')
    ]
    assert strides == [4, 8]


def test_row_whose_backbone_does_not_fit_has_a_config_of_its_own():
    own = DENSE.replace('window_size=4', 'window_size=4, out_indices=(0, 1), pad_small_map=True')
    Path('own.py').write_text(own.replace("type='mmpretrain.SimpleFeaturePyramid'", "type='FPN'"))
    change_board("name='Deep', ", "name='Deep', segmentation='own.py', ")
    necks = [plans(row)['segmentation'].config.model.neck.type for row in ('Flat', 'Deep')]
    assert necks == ['mmpretrain.SimpleFeaturePyramid', 'FPN']
    backbones = {stage: plan.config.model.backbone for stage, plan in plans('Deep').items()}
    assert backbones['segmentation'].out_indices == (0, 1)
    assert backbones['segmentation'].pad_small_map is True
    assert backbones['probe'] == backbones['segmentation']
    assert 'out_indices' not in backbones['detection']


def test_options_of_the_row_win_over_those_of_the_stage():
    change_board(
        "data='digits.json'", "data='digits.json', options={'model.backbone.window_size': 2}"
    )
    change_board("name='Flat'", "name='Flat', dense={'model.backbone.window_size': 8}")
    windows = [
        plans(row)['detection'].config.model.backbone.window_size for row in ('Flat', 'Deep')
    ]
    assert windows == [8, 2]


def test_rows_of_one_seed_see_the_same_scenes():
    scenes = [
        plans(row, seed)['detection'].config.train_dataloader.dataset.indices
        for row, seed in (('Flat', 0), ('Deep', 0), ('Flat', 1))
    ]
    assert scenes[0] == scenes[1] != scenes[2] and len(scenes[0]) == 2


def test_digests_do_not_depend_on_the_folder():
    assert digests(folder='work') == digests(folder='/elsewhere/runs')


def test_digests_of_all_stages_depend_on_how_long_the_classifier_trains_and_on_the_seed():
    before = digests()
    others = [digests(seed=1)]
    change_board('iterations=4', 'iterations=5')
    others.append(digests())
    for other in others:
        assert not {*before.values()} & {*other.values()}


@pytest.mark.parametrize(
    ('old', 'new', 'changed'),
    [
        ('detection=dict(_dense,', 'detection=dict(dict(_dense, iterations=9),', {'detection'}),
        ('segmentation=dict(_dense,', 'segmentation=dict(dict(_dense, iterations=9),',
         {'segmentation'}),
        ('segmentation=dict(_dense,', 'segmentation=dict(dict(_dense, scenes=3),',
         {'segmentation', 'probe'}),
        ("name='Flat'", "name='Flat', dense={'model.backbone.window_size': 2}",
         {'detection', 'segmentation', 'probe'}),
    ],
)  # fmt: skip
def test_digests_change_with_what_a_stage_reads(old, new, changed):
    before = digests()
    change_board(old, new)
    after = digests()
    assert {stage for stage in before if before[stage] != after[stage]} == changed
