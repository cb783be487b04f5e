"""The study: its file, equal budgets, and runs through stand-ins for the tools."""

import json
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

    from mmtoken.tasks import launch

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


def test_smaller_subset_is_part_of_the_larger():
    from mmtoken.experiments.study_runs import subset_indices

    small, large = subset_indices(10, 100, 3), subset_indices(30, 100, 3)
    assert len(set(small)) == 10 and set(small) < set(large)


def test_subset_depends_on_the_seed():
    from mmtoken.experiments.study_runs import subset_indices

    assert subset_indices(10, 100, 0) != subset_indices(10, 100, 1)


def test_unequal_budgets_are_refused():
    from mmtoken.experiments.study_runs import check_budget

    runs = [dict(arm='Flat', x=100, iterations=10), dict(arm='Deep', x=100, iterations=12)]
    with pytest.raises(UserError, match='Deep trained 12 iterations at 100, and Flat trained 10'):
        check_budget(runs)


def test_study_without_control_is_refused(workplace):
    from mmtoken.experiments.study_runs import load_study

    Path('depth.py').write_text(STUDY.replace("control = 'Flat'", "control = 'Wide'"))
    with pytest.raises(UserError, match="the control 'Wide'"):
        load_study(Path('depth.py'))


def test_unknown_name_in_a_study_is_refused(workplace):
    from mmtoken.experiments.study_runs import load_study

    Path('depth.py').write_text(STUDY + 'seeds = 3\n')
    with pytest.raises(UserError, match='sets seeds, which no study has'):
        load_study(Path('depth.py'))


def start_from_another_study() -> Path:
    """Let the deep arm start from another study's weights, which are written too."""
    options = "options={'model.backbone.init_cfg': dict(checkpoint='{studies}/a/b_{seed}.pth')}"
    Path('depth.py').write_text(STUDY.replace("options={'model.backbone.depth': 2}", options))
    weights = Path('work/a/b_0.pth')
    weights.parent.mkdir(parents=True)
    weights.touch()
    return weights


def test_missing_weights_of_another_study_are_named(workplace, capsys):
    start_from_another_study().unlink()
    with pytest.raises(SystemExit) as exit:
        run_study('--seeds', '0')
    assert exit.value.code == 2
    assert 'work/a/b_0.pth, which deep_2_seed0 starts from' in capsys.readouterr().err
    assert not Path('trained.txt').exists()


def test_weights_of_another_study_are_inputs(workplace):
    from mmtoken.experiments.study_runs import Run, load_study, run_config

    weights = start_from_another_study()
    cfg, files = run_config(load_study(Path('depth.py')), Run('Deep', 2, 0), Path('work/depth'))
    assert files == [weights]
    assert cfg.model.backbone.init_cfg.checkpoint == str(weights)


def test_other_weights_of_another_study_make_its_runs_run_again(workplace):
    weights = start_from_another_study()
    run_study('--seeds', '0')
    weights.write_text('other')
    run_study('--seeds', '0')
    assert trained()[4:] == ['deep_2_seed0', 'deep_4_seed0']


def test_report_only_needs_no_weights_of_another_study(workplace):
    weights = start_from_another_study()
    run_study('--seeds', '0')
    weights.unlink()
    assert len(run_study('--seeds', '0', '--report-only')['runs']) == 4


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
