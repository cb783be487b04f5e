"""tools/analysis_tools/study.py: its runs, through stand-ins for the tools, and its report."""

import shutil
from pathlib import Path

import pytest
from study_files import STUDY, start_from_another_study, trained


def test_missing_weights_of_another_study_are_named(run_study, capsys):
    start_from_another_study().unlink()
    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')
    assert exit.value.code == 2
    assert 'work/a/b_0.pth, which deep_2_seed0 starts from' in capsys.readouterr().err
    assert not Path('trained.txt').exists()


def test_other_weights_of_another_study_make_its_runs_run_again(run_study):
    weights = start_from_another_study()
    run_study('--seeds', '0')
    weights.write_text('other')
    run_study('--seeds', '0')
    assert trained()[4:] == ['deep_2_seed0', 'deep_4_seed0']


def test_report_only_needs_no_weights_of_another_study(run_study):
    weights = start_from_another_study()
    run_study('--seeds', '0')
    weights.unlink()
    shutil.rmtree('out')
    assert len(run_study('--seeds', '0', '--report-only')['runs']) == 4


def test_study_runs_every_arm_x_and_seed(run_study):
    report = run_study('--seeds', '0', '1', '--workers', '2')
    found = {(r['arm'], r['x'], r['seed']): r['metrics']['accuracy/top1'] for r in report['runs']}
    assert len(found) == 8
    assert found['Deep', 4, 1] == pytest.approx(21.0)
    assert {r['iterations'] for r in report['runs'] if r['x'] == 4} == {8}


def test_study_writes_table_and_plot(run_study):
    run_study('--seeds', '0')
    assert '| 2 | 4 | 10.0 | 20.0 | +10.0 |' in Path('out/README.md').read_text()
    assert Path('out/plot.png').exists()


def test_a_page_that_is_no_report_is_not_written_over(run_study, capsys):
    Path('out').mkdir()
    Path('out/README.md').write_text('mine')

    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')

    assert exit.value.code == 2
    assert 'README.md is of no earlier report' in capsys.readouterr().err
    assert Path('out/README.md').read_text() == 'mine' and not Path('trained.txt').exists()


def test_finished_runs_are_not_repeated(run_study):
    run_study('--seeds', '0')
    run_study('--seeds', '0', '1')
    assert len(trained()) == len(set(trained())) == 8


def test_only_runs_with_changed_options_are_repeated(run_study):
    run_study('--seeds', '0')
    Path('depth.py').write_text(
        STUDY.replace("'model.backbone.depth': 2", "'model.backbone.depth': 3")
    )
    run_study('--seeds', '0')
    assert trained()[4:] == ['deep_2_seed0', 'deep_4_seed0']


def test_checkpoints_are_removed_but_the_kept_ones(run_study):
    run_study('--seeds', '0')
    assert sorted(str(file.relative_to('work/depth')) for file in Path('work').rglob('*.pth')) == [
        'deep_2_seed0/final.pth', 'deep_4_seed0/final.pth',
    ]  # fmt: skip


def test_failed_run_names_its_log(run_study, capsys):
    Path('train.py').write_text('raise SystemExit(1)')
    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')
    assert exit.value.code == 1
    assert 'flat_2_seed0/train.log' in capsys.readouterr().err


def test_report_only_runs_nothing(run_study):
    run_study('--seeds', '0')
    Path('out/README.md').unlink()
    run_study('--seeds', '0', '--report-only')
    assert len(trained()) == 4 and Path('out/README.md').exists()


def test_report_only_reads_the_merged_results_where_no_runs_are(run_study):
    run_study('--seeds', '0')
    Path('out/README.md').unlink()
    shutil.rmtree('work')
    run_study('--report-only')
    assert '+10.0' in Path('out/README.md').read_text()


def test_metric_that_was_not_measured_is_named(run_study, capsys):
    Path('depth.py').write_text(STUDY.replace("key='accuracy/top1'", "key='mIoU'"))
    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')
    assert exit.value.code == 2
    assert "the metric 'mIoU', and flat_2_seed0 measured accuracy/top1" in capsys.readouterr().err
