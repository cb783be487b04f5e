"""The study: statistics, table, equal budgets, and runs through stand-ins for the tools."""

import json
import math
import shutil
from pathlib import Path

import pytest

from mmtoken.errors import UserError

REPO = Path(__file__).parents[2]
CONFIG = """
train_cfg = dict(by_epoch=True, max_epochs=2)
randomness = dict(seed=0)
train_dataloader = dict(dataset=dict(type='Digits', indices=None))
model = dict(backbone=dict(type='TokenViT', depth=1))
"""
STUDY = """
title = 'Depth'
question = 'Does depth help?'
metrics = [dict(key='accuracy/top1', name='top-1', unit='%', scale=100)]
x = dict(name='training scenes', log=True, values=[dict(value=2), dict(value=4)])
subset = dict(key='train_dataloader.dataset.indices', total=10)
arms = [
    dict(name='Flat', config='model.py'),
    dict(name='Deep', config='model.py', options={'model.backbone.depth': 2}, keep_checkpoint=True),
]
control = 'Flat'
"""
# Writes what mmengine's runner and hooks leave in a work dir; accuracy = depth / 10 + seed / 100.
READ = """
import argparse, json, pathlib, runpy
parser = argparse.ArgumentParser()
for name in {names}:
    parser.add_argument(name)
args, _ = parser.parse_known_args()
cfg = runpy.run_path(args.config)
"""
TRAIN = (
    READ.format(names=('config', '--work-dir', '--resume'))
    + """
folder = pathlib.Path(args.work_dir)
iterations = len(cfg['train_dataloader']['dataset']['indices']) * cfg['train_cfg']['max_epochs']
(folder / 'epoch_2.pth').write_text(str(iterations))
(folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
with open('trained.txt', 'a') as file:
    print(folder.name, file=file)
"""
)
TEST = (
    READ.format(names=('config', 'checkpoint', '--work-dir'))
    + """
assert pathlib.Path(args.checkpoint).exists()
folder = pathlib.Path(args.work_dir) / '20260101_000000'
folder.mkdir(parents=True)
value = cfg['model']['backbone']['depth'] / 10 + cfg['randomness']['seed'] / 100
(folder / '20260101_000000.json').write_text(json.dumps({'accuracy/top1': value}))
"""
)


@pytest.fixture(autouse=True)
def tools_path(monkeypatch):
    """Let the tool's siblings be imported, as they are when it runs as a script."""
    monkeypatch.syspath_prepend(str(REPO / 'tools' / 'analysis_tools'))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a config, a study, and stand-ins for tools/train.py and tools/test.py."""
    import study

    from mmtoken.runtime import launch

    for name, text in {
        'model.py': CONFIG, 'depth.py': STUDY, 'train.py': TRAIN, 'test.py': TEST,
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, 'TOOLS', tmp_path)
    monkeypatch.setattr(study, 'export_weights', shutil.copyfile)
    monkeypatch.setattr(study, 'trained_iterations', lambda path: int(path.read_text()))
    monkeypatch.setattr(launch, 'POLL_SECONDS', 0.01)
    return tmp_path


def run_study(*flags: str) -> dict:
    """Run the study of the current folder and return its merged results."""
    import study

    study.main(['depth.py', '--out', 'out', '--work-dir', 'work/depth', *flags])
    return json.loads(Path('out/results.json').read_text())


def trained() -> list[str]:
    """Names of the runs that were trained, in order."""
    return Path('trained.txt').read_text().split()


def entry(arm: str, x: int, seed: int, top1: float, iterations: int = 10) -> dict:
    """One run as results.json holds it."""
    return {
        'arm': arm, 'x': x, 'seed': seed, 'metrics': {'top1': top1}, 'iterations': iterations,
        'seconds': 60.0,
    }  # fmt: skip


def make_report(runs: list[dict]) -> dict:
    """A report with two arms and two x values."""
    return {
        'title': 'Depth', 'question': 'Does depth help?',
        'command': 'python study.py', 'runs': runs,
        'metrics': [{'key': 'top1', 'name': 'top-1', 'unit': '%'}], 'date': '2026-01-01',
        'x': {'name': 'scenes', 'log': True, 'values': [100, 1500]}, 'arms': ['Flat', 'Deep'],
        'control': 'Flat', 'seeds': [0, 1, 2], 'workers': 2,
        'environment': {'versions': {'torch': '2'}, 'processor': 'CPU', 'commit': 'abc'},
    }  # fmt: skip


def test_estimate_equals_hand_computation():
    from study_report import estimate

    found = estimate([2.0, 4.0, 9.0])
    # mean 5, squares 9 + 1 + 16 = 26, std sqrt(13), t(0.975, 2) = 4.302653
    assert found.mean == 5.0
    assert found.std == pytest.approx(math.sqrt(13))
    assert found.margin == pytest.approx(4.302653 * math.sqrt(13 / 3), rel=1e-6)


def test_one_measurement_has_no_spread():
    from study_report import estimate

    found = estimate([3.0])
    assert found.mean == 3.0 and math.isnan(found.std) and math.isnan(found.margin)


def test_difference_pairs_by_seed():
    from study_report import paired_difference

    found = paired_difference({0: 12.0, 1: 23.0, 3: 99.0}, {1: 20.0, 0: 11.0, 2: 0.0})
    # differences 1 and 3: std sqrt(2), t(0.975, 1) = 12.7062
    assert (found.mean, found.count) == (2.0, 2)
    assert found.margin == pytest.approx(12.7062, rel=1e-5)


def test_no_common_seed_gives_no_difference():
    from study_report import paired_difference

    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_table_text():
    from study_report import markdown

    flat = [entry('Flat', 100, seed, 50.0 + seed) for seed in range(3)]
    deep = [entry('Deep', 100, seed, 52.0 + 2 * seed) for seed in range(3)]
    text = markdown(make_report(flat + deep + [entry('Flat', 1500, 0, 80.0, 1200)]))
    assert '| scenes | iterations | Flat | Deep | Deep − Flat |' in text
    assert '| 100 | 10 | 51.0 ± 1.0 | 54.0 ± 2.0 | +3.0 [+0.5, +5.5] |' in text
    assert '| 1,500 | 1,200 | 80.0 | – | – |' in text


def test_report_names_command_and_environment():
    from study_report import markdown

    text = markdown(make_report([entry('Flat', 100, 0, 50.0)]))
    assert 'python study.py' in text and 'torch 2' in text and 'commit abc' in text


def test_plot_is_a_picture(tmp_path):
    from study_report import plot

    runs = [entry(arm, x, seed, 50.0 + seed) for arm in ('Flat', 'Deep') for x in (100, 1500)
            for seed in range(2)]  # fmt: skip
    plot(make_report(runs), tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_smaller_subset_is_part_of_the_larger():
    from study_runs import subset_indices

    small, large = subset_indices(10, 100, 3), subset_indices(30, 100, 3)
    assert len(set(small)) == 10 and set(small) < set(large)


def test_subset_depends_on_the_seed():
    from study_runs import subset_indices

    assert subset_indices(10, 100, 0) != subset_indices(10, 100, 1)


def test_unequal_budgets_are_refused():
    from study_runs import check_budget

    runs = [entry('Flat', 100, 0, 50.0, 10), entry('Deep', 100, 0, 50.0, 12)]
    with pytest.raises(UserError, match='Deep trained 12 iterations at 100, and Flat trained 10'):
        check_budget(runs)


def test_study_without_control_is_refused(workplace):
    from study_runs import load_study

    Path('depth.py').write_text(STUDY.replace("control = 'Flat'", "control = 'Wide'"))
    with pytest.raises(UserError, match="the control 'Wide'"):
        load_study(Path('depth.py'))


def test_unknown_name_in_a_study_is_refused(workplace):
    from study_runs import load_study

    Path('depth.py').write_text(STUDY + 'seeds = 3\n')
    with pytest.raises(UserError, match='sets seeds, which no study has'):
        load_study(Path('depth.py'))


def test_missing_weights_of_another_study_are_named(workplace):
    from study_runs import Run, load_study, run_config

    options = "options={'model.backbone.init_cfg': dict(checkpoint='{studies}/a/b_{seed}.pth')}"
    Path('depth.py').write_text(STUDY.replace("options={'model.backbone.depth': 2}", options))
    with pytest.raises(UserError, match=r'work/a/b_1\.pth, which deep_2_seed1 starts from'):
        run_config(load_study(Path('depth.py')), Run('Deep', 2, 1), Path('work/depth'))


def test_weights_of_another_study_are_inputs(workplace):
    from study_runs import Run, load_study, run_config

    weights = Path('work/a/b_1.pth')
    weights.parent.mkdir(parents=True)
    weights.touch()
    options = "options={'model.backbone.init_cfg': dict(checkpoint='{studies}/a/b_{seed}.pth')}"
    Path('depth.py').write_text(STUDY.replace("options={'model.backbone.depth': 2}", options))
    cfg, files = run_config(load_study(Path('depth.py')), Run('Deep', 2, 1), Path('work/depth'))
    assert files == [weights]
    assert cfg.model.backbone.init_cfg.checkpoint == str(weights)


def test_study_runs_every_arm_x_and_seed(workplace):
    report = run_study('--seeds', '0', '1', '--workers', '2')
    found = {(r['arm'], r['x'], r['seed']): r['metrics']['accuracy/top1'] for r in report['runs']}
    assert len(found) == 8
    assert found['Deep', 4, 1] == pytest.approx(21.0)
    assert {r['iterations'] for r in report['runs'] if r['x'] == 4} == {8}


def test_study_writes_table_and_plot(workplace):
    run_study('--seeds', '0')
    assert '| 2 | 4 | 10.0 | 20.0 | +10.0 |' in Path('out/README.md').read_text()
    assert Path('out/plot.png').exists()


def test_finished_runs_are_not_repeated(workplace):
    run_study('--seeds', '0')
    run_study('--seeds', '0', '1')
    assert len(trained()) == len(set(trained())) == 8


def test_only_runs_with_changed_options_are_repeated(workplace):
    run_study('--seeds', '0')
    Path('depth.py').write_text(
        STUDY.replace("'model.backbone.depth': 2", "'model.backbone.depth': 3")
    )
    run_study('--seeds', '0')
    assert trained()[4:] == ['deep_2_seed0', 'deep_4_seed0']


def test_checkpoints_are_removed_but_the_kept_ones(workplace):
    run_study('--seeds', '0')
    assert sorted(str(file.relative_to('work/depth')) for file in Path('work').rglob('*.pth')) == [
        'deep_2_seed0/final.pth', 'deep_4_seed0/final.pth',
    ]  # fmt: skip


def test_failed_run_names_its_log(workplace, capsys):
    Path('train.py').write_text('raise SystemExit(1)')
    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')
    assert exit.value.code == 1
    assert 'flat_2_seed0/train.log' in capsys.readouterr().err


def test_report_only_runs_nothing(workplace):
    run_study('--seeds', '0')
    Path('out/README.md').unlink()
    run_study('--seeds', '0', '--report-only')
    assert len(trained()) == 4 and Path('out/README.md').exists()


def test_report_only_reads_the_merged_results_where_no_runs_are(workplace):
    run_study('--seeds', '0')
    Path('out/README.md').unlink()
    shutil.rmtree('work')
    run_study('--report-only')
    assert '+10.0' in Path('out/README.md').read_text()


def test_metric_that_was_not_measured_is_named(workplace, capsys):
    Path('depth.py').write_text(STUDY.replace("key='accuracy/top1'", "key='mIoU'"))
    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')
    assert exit.value.code == 2
    assert "the metric 'mIoU', and flat_2_seed0 measured accuracy/top1" in capsys.readouterr().err
