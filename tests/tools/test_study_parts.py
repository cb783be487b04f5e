"""tools/analysis_tools/study.py: a part of a study, and a study that goes on on another machine."""

import json
import shutil
from pathlib import Path

import pytest
from study_files import STUDY, SWEEP, start_from_another_study, trained, write_study

RESULTS = Path('out/results.json')


def move_away() -> list[str]:
    """Leave the committed results alone, as in a fresh checkout; return what was trained."""
    shutil.rmtree('work/depth')
    names = trained()
    Path('trained.txt').unlink()
    return names


def test_only_the_named_arms_and_values_run(run_study):
    run_study('--seeds', '0', '--arms', 'Deep', '--x', '4')
    assert trained() == ['deep_4_seed0']


def test_unknown_value_of_x_is_named(run_study, capsys):
    with pytest.raises(SystemExit) as exit:
        run_study('--x', '3')
    assert exit.value.code == 2
    assert "choose among '2', '4'" in capsys.readouterr().err


def test_earlier_parts_stay_in_the_report(run_study):
    run_study('--seeds', '0', '--arms', 'Flat')
    assert len(run_study('--seeds', '1', '--arms', 'Deep')['runs']) == 4


def test_sweep_of_a_part_tunes_its_arms_alone(run_study):
    write_study(SWEEP)
    run_study('--seeds', '0', '--arms', 'Deep', '--x', '2')
    assert trained() == ['deep_4_rate-1_seed100', 'deep_4_rate-2_seed100', 'deep_2_seed0']


def test_committed_runs_of_the_same_config_count_as_finished(run_study):
    Path('depth.py').write_text(STUDY.replace(', keep_checkpoint=True', ''))
    run_study('--seeds', '0')
    move_away()
    report = run_study('--seeds', '0', '1')
    assert sorted(trained()) == ['deep_2_seed1', 'deep_4_seed1', 'flat_2_seed1', 'flat_4_seed1']
    assert len(report['runs']) == 8


def test_committed_runs_outside_the_part_stay(run_study):
    run_study('--seeds', '0')
    move_away()
    assert len(run_study('--seeds', '1', '--arms', 'Flat')['runs']) == 4 + 2


def test_committed_sweep_counts_as_finished(run_study):
    write_study(SWEEP)
    run_study('--seeds', '0', '--arms', 'Flat')
    move_away()
    report = run_study('--seeds', '1', '--arms', 'Flat')
    assert trained() == ['flat_2_seed1', 'flat_4_seed1']
    assert len(report['sweep']['runs']) == 2 and len(report['runs']) == 4


def test_committed_runs_of_another_config_are_repeated_and_replaced(run_study):
    run_study('--seeds', '0', '--arms', 'Flat')
    move_away()
    Path('depth.py').write_text(STUDY + "options = {'optim_wrapper.optimizer.lr': 3}\n")
    before = {run['digest'] for run in json.loads(RESULTS.read_text())['runs']}
    report = run_study('--seeds', '0', '--arms', 'Flat')
    assert trained() == ['flat_2_seed0', 'flat_4_seed0']
    assert len(report['runs']) == 2 and not before & {run['digest'] for run in report['runs']}


def test_committed_runs_of_another_config_that_are_not_repeated_leave_the_report(run_study, capsys):
    run_study('--seeds', '0')
    move_away()
    Path('depth.py').write_text(STUDY + "options = {'optim_wrapper.optimizer.lr': 3}\n")
    report = run_study('--seeds', '0', '--arms', 'Flat')
    assert {run['arm'] for run in report['runs']} == {'Flat'}
    assert '2 runs in out/results.json are of another version' in capsys.readouterr().out


def test_committed_runs_that_another_study_starts_from_are_repeated_for_their_weights(run_study):
    run_study('--seeds', '0')
    move_away()
    run_study('--seeds', '0')
    assert trained() == ['deep_2_seed0', 'deep_4_seed0']


def ask_for_another_metric() -> None:
    """Let the study ask for what its runs measured, and did not report."""
    top5 = "dict(key='accuracy/top5', name='top-5', unit='%', report='detail')"
    Path('depth.py').write_text(STUDY.replace('scale=100)]', f'scale=100), {top5}]'))


def test_another_metric_is_read_from_finished_runs(run_study):
    run_study('--seeds', '0')
    ask_for_another_metric()
    report = run_study('--seeds', '0')
    assert len(trained()) == 4
    assert {run['metrics']['accuracy/top5'] for run in report['runs']} == {1.0}


def test_committed_runs_that_lack_a_metric_are_repeated(run_study):
    run_study('--seeds', '0', '--arms', 'Flat')
    move_away()
    ask_for_another_metric()
    run_study('--seeds', '0', '--arms', 'Flat')
    assert trained() == ['flat_2_seed0', 'flat_4_seed0']


def test_committed_runs_do_not_depend_on_the_folder_of_the_studies(run_study):
    start_from_another_study()
    run_study('--seeds', '0', '--arms', 'Flat')
    run_study('--seeds', '0')
    shutil.move('work', 'elsewhere')
    report = run_study('--seeds', '1', '--arms', 'Flat', '--work-dir', 'other/place/depth')
    assert len(report['runs']) == 4 + 2


def test_committed_runs_from_other_weights_are_not_taken(run_study):
    weights = start_from_another_study()
    run_study('--seeds', '0')
    move_away()
    weights.write_text('other')
    assert {run['arm'] for run in run_study('--seeds', '0', '--arms', 'Flat')['runs']} == {'Flat'}


@pytest.fixture
def old_results(run_study):
    """Committed results from before they said which config a run is of."""
    report = run_study('--seeds', '0')
    for run in report['runs']:
        del run['digest'], run['inputs']
    del report['sweep'], report['x']['labels']
    move_away()
    RESULTS.write_text(json.dumps(report))


def test_old_results_are_reported_as_they_are(run_study, old_results):
    run_study('--report-only')
    assert '+10.0' in Path('out/README.md').read_text()


def test_runs_of_old_results_are_repeated(run_study, old_results):
    run_study('--seeds', '0', '--arms', 'Flat')
    assert trained() == ['flat_2_seed0', 'flat_4_seed0']
