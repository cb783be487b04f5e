"""tools/analysis_tools/scoreboard.py: what it runs and repeats, through stand-ins for the tools."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from scoreboard_files import BOARD, chain, change_board, ran, results, write_board

ALL = [*chain('flat'), *chain('deep'), *chain('deep-pooled')]


def move_away() -> None:
    """Leave the committed results alone, as in a fresh checkout."""
    shutil.rmtree('work/board')


def test_every_stage_of_every_row_runs_after_its_classifier(run_board):
    names = run_board('--workers', '2')
    assert sorted(names) == sorted(ALL)
    for row in ('flat', 'deep', 'deep-pooled'):
        first, *others = chain(row)
        assert all(names.index(first) < names.index(other) for other in others)


def test_stages_start_from_the_classifier_of_their_row_and_seed(run_board):
    run_board('--rows', 'Deep', '--seeds', '3')
    weights = 'work/board/deep_classification_seed3/final.pth'
    for name in chain('deep', 3)[2:]:
        cfg = Config.fromfile(f'work/board/{name}/config.py')
        assert cfg.model.backbone.init_cfg.checkpoint == weights


def test_cells_hold_what_was_measured_and_where(run_board):
    run_board('--rows', 'Deep', '--seeds', '1')
    cells = {cell['x']: cell for cell in results()['cells']}
    found = {stage: [*cell['metrics'].values()] for stage, cell in cells.items()}
    assert found == {
        'classification': [3.1], 'probe': [3.1], 'detection': [310.0], 'segmentation': [3.1],
    }  # fmt: skip
    for cell in cells.values():
        assert {'digest', 'commit', 'config', 'seconds', 'processor', 'versions'} <= cell.keys()


def test_finished_cells_are_not_run_again(run_board):
    run_board()
    assert run_board() == []


def test_another_seed_joins_the_earlier_ones(run_board):
    run_board('--rows', 'Flat')
    assert run_board('--rows', 'Flat', '--seeds', '1') == chain('flat', 1)
    assert results()['seeds'] == [0, 1] and len(results()['cells']) == 8


def test_only_the_stage_whose_budget_changed_runs_again(run_board):
    run_board('--rows', 'Flat')
    change_board('detection=dict(_dense, ', 'detection=dict(dict(_dense, iterations=5), ')
    assert run_board('--rows', 'Flat') == ['flat_detection_seed0']


def test_probe_is_not_repeated_for_a_longer_segmentation(run_board):
    run_board('--rows', 'Flat')
    change_board('segmentation=dict(_dense, ', 'segmentation=dict(dict(_dense, iterations=5), ')
    assert run_board('--rows', 'Flat') == ['flat_segmentation_seed0']


def test_whole_row_runs_again_where_its_classifier_changed(run_board):
    run_board('--rows', 'Flat', 'Deep')
    change_board("num_layers': 3})", "num_layers': 4})")
    assert run_board('--rows', 'Flat', 'Deep') == chain('deep')


@pytest.mark.parametrize(
    ('data', 'first'), [('glyphs.json', 0), ('digits.json', 1)], ids=['glyphs', 'digits']
)
@pytest.mark.parametrize('elsewhere', [False, True], ids=['here', 'elsewhere'])
def test_cells_of_other_data_run_again(run_board, data, first, elsewhere):
    run_board('--rows', 'Flat')
    if elsewhere:
        move_away()
    Path(data).write_text('other')
    # Elsewhere the classifier runs for its weights.
    assert run_board('--rows', 'Flat') == chain('flat')[0 if elsewhere else first :]


def test_committed_cells_count_as_finished_on_another_machine(run_board):
    run_board('--rows', 'Flat', 'Deep')
    move_away()
    assert run_board('--rows', 'Flat', 'Deep') == []
    assert len(results()['cells']) == 8


def test_committed_cells_do_not_depend_on_the_work_dir(run_board):
    run_board('--rows', 'Flat')
    assert run_board('--rows', 'Flat', '--work-dir', 'elsewhere/runs') == []


def test_classifier_runs_again_where_its_weights_are_gone_and_wanted(run_board):
    run_board('--rows', 'Flat')
    move_away()
    change_board('detection=dict(_dense, ', 'detection=dict(dict(_dense, iterations=5), ')
    assert run_board('--rows', 'Flat') == ['flat_classification_seed0', 'flat_detection_seed0']
    assert len(results()['cells']) == 4


def test_weights_that_come_out_otherwise_do_not_repeat_committed_cells(run_board):
    run_board('--rows', 'Flat')
    move_away()
    change_board('detection=dict(_dense, ', 'detection=dict(dict(_dense, iterations=5), ')
    train = Path('train.py')
    train.write_text(train.read_text().replace("['max_iters'])", "['max_iters'] ) + ' '"))
    run_board('--rows', 'Flat')
    assert run_board('--rows', 'Flat') == []


def test_cells_whose_weights_are_gone_are_finished(run_board):
    run_board('--rows', 'Flat')
    Path('work/board/flat_classification_seed0/final.pth').unlink()
    assert run_board('--rows', 'Flat', '--out', 'other/board') == []


def test_checkpoints_are_removed_but_the_weights_of_the_classifier(run_board):
    run_board('--rows', 'Flat')
    assert [str(path) for path in Path('work').rglob('*.pth')] == [
        'work/board/flat_classification_seed0/final.pth',
    ]  # fmt: skip


def test_cells_that_leave_the_board_are_counted(run_board, capsys):
    run_board('--rows', 'Flat', 'Deep')
    change_board("num_layers': 3})", "num_layers': 4})")
    run_board('--rows', 'Flat')
    assert '4 cells in out/board.json are of other configs' in capsys.readouterr().out
    assert {cell['arm'] for cell in results()['cells']} == {'Flat'}


def test_report_only_runs_nothing_and_keeps_the_command(run_board):
    run_board('--rows', 'Flat', '--workers', '2')
    before = results()['command']
    assert run_board('--report-only') == []
    assert results()['command'] == before == (
        'python tools/analysis_tools/scoreboard.py board.py --seeds 0 --workers 2'
    )  # fmt: skip


def test_all_three_files_are_written(run_board):
    run_board('--rows', 'Flat')
    assert sorted(path.name for path in Path('out').iterdir()) == [
        'board.json', 'board.md', 'board.png',
    ]  # fmt: skip
    assert '| Flat | 2.0 | 2.0 | 200.0 | 2.0 |' in Path('out/board.md').read_text()


def test_speed_trains_nothing_and_stays_in_the_report(run_board):
    assert run_board('--speed', '--rounds', '2') == []
    run_board('--rows', 'Flat')
    speed = results()['speed']
    assert {found['row'] for found in speed['train']['cases'][0]['ratios']} == {
        'Flat', 'Deep', 'Deep, pooled',
    }  # fmt: skip
    assert speed['train']['optimizer'] and speed['infer']['mode'] == 'infer'
    assert 'Deep, pooled |' in Path('out/board.md').read_text()


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--rows', 'Dep'], "--rows 'Dep' is no row of board.py; did you mean 'Deep'?"),
        (['--report-only'], 'no cell of board.py is finished in work/board or out/board.json'),
        (['--speed', '--rounds', '0'], '--rounds 0 times nothing'),
    ],
)
def test_what_cannot_be_done_is_said(run_board, capsys, flags, message):
    with pytest.raises(SystemExit) as exit:
        run_board(*flags)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_unequal_budgets_are_refused_before_anything_runs(run_board, capsys):
    write_board(
        BOARD.replace("num_layers': 3})", "num_layers': 3, 'train_dataloader.batch_size': 3})")
    )
    with pytest.raises(SystemExit):
        run_board()
    assert 'give every arm and candidate the same budget' in capsys.readouterr().err
    assert ran() == []


def test_another_board_does_not_take_the_place_of_ours(load_tool):
    tool = load_tool('analysis_tools/scoreboard.py')
    assert tool.parse_args([]).out == Path('docs/scoreboard')
    assert tool.parse_args(['boards/mine.py']).out == Path('docs/scoreboard_mine')
