"""tools/analysis_tools/study.py: a sweep chooses each arm's options before its final runs."""

from pathlib import Path

import pytest
from study_files import SWEEP, trained, write_study


@pytest.fixture
def run_sweep(run_study):
    """The function that runs the study, which has a sweep."""
    write_study(SWEEP)
    return run_study


def test_each_arm_uses_the_candidate_that_is_best_on_held_out_data(run_sweep):
    report = run_sweep('--seeds', '0')
    used = {(run['arm'], run['x']): run['candidate'] for run in report['runs']}
    assert used == {
        ('Flat', 2): 'rate 1', ('Flat', 4): 'rate 1', ('Deep', 2): 'rate 2', ('Deep', 4): 'rate 2',
    }  # fmt: skip
    assert 'lr=2' in Path('work/depth/deep_2_seed0/config.py').read_text()


def test_sweep_trains_at_its_x_with_its_seeds_before_the_final_runs(run_sweep):
    run_sweep('--seeds', '0')
    assert trained() == [
        'flat_4_rate-1_seed100', 'deep_4_rate-1_seed100',
        'flat_4_rate-2_seed100', 'deep_4_rate-2_seed100',
        'flat_2_seed0', 'deep_2_seed0', 'flat_4_seed0', 'deep_4_seed0',
    ]  # fmt: skip


def test_report_holds_every_value_and_choice_of_the_sweep(run_sweep):
    sweep = run_sweep('--seeds', '0')['sweep']
    values = {(r['arm'], r['candidate']): r['metrics']['accuracy/top1'] for r in sweep['runs']}
    assert values == pytest.approx({
        ('Flat', 'rate 1'): 100, ('Flat', 'rate 2'): 90,
        ('Deep', 'rate 1'): 90, ('Deep', 'rate 2'): 100,
    })  # fmt: skip
    assert {'arm': 'Deep', 'x': 4, 'candidate': 'rate 2'} in sweep['choices']


def test_page_shows_the_chosen_in_bold(run_sweep):
    run_sweep('--seeds', '0')
    text = Path('out/README.md').read_text()
    assert '| rate 1 | **100.0** | 90.0 |' in text and '| rate 2 | 90.0 | **100.0** |' in text


def test_page_shows_where_a_choice_is_used(run_sweep):
    run_sweep('--seeds', '0')
    text = Path('out/README.md').read_text()
    assert '### training scenes: 4 (8 iterations)\n\nUsed also at 2.' in text


def test_runs_of_the_sweep_keep_no_checkpoints(run_sweep):
    run_sweep('--seeds', '0')
    assert not [*Path('work/depth/sweep').rglob('*.pth')]


def test_more_seeds_do_not_repeat_the_sweep(run_sweep):
    run_sweep('--seeds', '0')
    run_sweep('--seeds', '0', '1')
    assert len(trained()) == len(set(trained())) == 4 + 8


def test_interrupted_sweep_goes_on(run_sweep):
    tool = Path('train.py').read_text()
    Path('train.py').write_text(tool + "assert folder.name != 'flat_4_rate-2_seed100'\n")
    with pytest.raises(SystemExit):
        run_sweep('--seeds', '0')
    Path('train.py').write_text(tool)
    run_sweep('--seeds', '0')
    assert trained().count('flat_4_rate-1_seed100') == 1
    assert trained().count('flat_4_rate-2_seed100') == 2


def test_other_choice_repeats_the_arms_final_runs_alone(run_sweep):
    run_sweep('--seeds', '0')
    # On another held-out part, 2 is the best rate of both arms.
    tool = Path('test.py').read_text()
    Path('test.py').write_text(tool.replace('abs(rate - depth)', 'abs(rate - 2)'))
    Path('depth.py').write_text(SWEEP.replace('[8, 9]', '[9]'))
    run_sweep('--seeds', '0')
    assert trained()[8 + 4 :] == ['flat_2_seed0', 'flat_4_seed0']


def test_seed_of_the_sweep_is_refused_for_final_runs(run_sweep, capsys):
    with pytest.raises(SystemExit) as exit:
        run_sweep('--seeds', '0', '100')
    assert exit.value.code == 2
    assert 'leave out 100' in capsys.readouterr().err


def test_candidate_of_another_budget_is_refused_before_anything_runs(run_sweep, capsys):
    longer = "'optim_wrapper.optimizer.lr': 2, 'train_cfg.max_epochs': 3}"
    Path('depth.py').write_text(SWEEP.replace("'optim_wrapper.optimizer.lr': 2}", longer))
    with pytest.raises(SystemExit) as exit:
        run_sweep('--seeds', '0')
    assert exit.value.code == 2
    assert 'would train 3 epochs' in capsys.readouterr().err
    assert trained() == []


def test_budget_that_was_not_kept_stops_the_sweep(run_sweep, capsys):
    # As when a run stops early: its config promised more.
    tool = Path('train.py').read_text()
    rate = "cfg['optim_wrapper']['optimizer']['lr']"
    Path('train.py').write_text(tool.replace('iterations = ', f'iterations = {rate} * '))
    with pytest.raises(SystemExit) as exit:
        run_sweep('--seeds', '0')
    assert exit.value.code == 2
    assert 'give every arm the same budget' in capsys.readouterr().err
    assert trained()[-1] == 'flat_4_rate-2_seed100'


def test_sweep_on_the_reported_data_is_refused(run_sweep, capsys):
    options = SWEEP[SWEEP.index("    options={'test_dataloader"):]  # fmt: skip
    Path('depth.py').write_text(SWEEP.replace(options, '    options={},\n)\n'))
    with pytest.raises(SystemExit) as exit:
        run_sweep('--seeds', '0')
    assert exit.value.code == 2
    assert "the sweep of 'Flat' would choose on the data that the study reports" in (
        capsys.readouterr().err
    )
