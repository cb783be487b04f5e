"""The demo: its stages and table, with stand-ins for the tools."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmtoken.experiments import demo_stages
from mmtoken.runtime.cli import load_config
from mmtoken.tasks import launch

CLS_CONFIG = """
train_cfg = dict(by_epoch=True, max_epochs=2)
model = dict(backbone=dict(init_cfg=None))
"""
DENSE_CONFIG = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=10)
model = dict(backbone=dict(init_cfg=dict(checkpoint='elsewhere.pth')))
"""
TRAIN = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
(folder / 'last.pth').write_text(str(len(list(folder.glob('*')))))
(folder / 'last_checkpoint').write_text(str(folder / 'last.pth'))
with open('calls.txt', 'a') as file:
    print('train', folder.name, *sys.argv, file=file)
"""
TEST = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1]) / '20260101_000000'
folder.mkdir(parents=True)
pathlib.Path(sys.argv[sys.argv.index('--out') + 1]).touch()
metrics = {'accuracy/top1': 90.04, 'coco/bbox_mAP': 0.801, 'coco/segm_mAP': 0.6, 'mIoU': 65.0}
(folder / '20260101_000000.json').write_text(json.dumps(metrics))
"""
DRAW = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
folder.mkdir(parents=True, exist_ok=True)
(folder / 'meta.json').write_text('{}')
"""
LABEL = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
assert folder.parents[1].joinpath('meta.json').exists(), 'labels of images that are not there'
folder.mkdir(parents=True)
(folder / 'manifest.json').write_text('{}')
"""


@pytest.fixture
def demo(load_tool):
    """The tool."""
    return load_tool('misc/demo.py')


@pytest.fixture
def workplace(demo, tmp_path, monkeypatch):
    """A folder with stand-ins for the configs and tools that the demo calls."""
    files = {
        'train.py': TRAIN,
        'test.py': TEST,
        'dataset_converters/digit_scenes.py': DRAW,
        'dataset_converters/make_token_labels.py': LABEL,
    }
    files |= {stage.config: DENSE_CONFIG for stage in demo.STAGES}
    files[demo.STAGES[0].config] = CLS_CONFIG
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, 'TOOLS', tmp_path)
    # The stand-ins cannot train together.
    monkeypatch.setattr(demo, 'STAGES', [replace(stage, processes=1) for stage in demo.STAGES])
    monkeypatch.setattr(demo_stages, 'export_weights', shutil.copyfile)
    monkeypatch.setattr(demo, 'paint', lambda stages, work_dir: [])
    monkeypatch.setattr(launch, 'POLL_SECONDS', 0.01)
    return tmp_path


@pytest.fixture
def run_demo(demo, workplace):
    """A function that runs the demo and returns its exit code."""

    def run(*flags: str) -> int:
        try:
            demo.main(list(flags))
        except SystemExit as exit:
            return exit.code
        return 0

    return run


def calls() -> list[str]:
    """What was trained, in order."""
    return [line.split()[1] for line in Path('calls.txt').read_text().splitlines()]


def test_short_number_is_named_and_fails(run_demo, capsys):
    assert run_demo() == 1
    assert 'mean IoU 65.0 % instead of 70 %' in capsys.readouterr().err


def test_numbers_as_expected_succeed(run_demo):
    Path('test.py').write_text(TEST.replace('65.0', '75.0'))
    assert run_demo() == 0


def test_table_and_results_are_written(run_demo):
    run_demo()
    assert (
        '| detection | box AP | 80.1 % | ≥ 75 % |' in Path('work_dirs/demo/results.md').read_text()
    )
    results = json.loads(Path('work_dirs/demo/results.json').read_text())
    assert results['stages']['classification']['metrics'] == {'top-1 accuracy': 90.0}


def test_second_demo_trains_nothing(run_demo):
    run_demo()
    run_demo()
    assert sorted(calls()) == ['classification', 'detection', 'segmentation']


def test_detection_and_segmentation_start_from_the_classification(run_demo):
    run_demo()
    lines = Path('calls.txt').read_text().splitlines()
    wanted = 'model.backbone.init_cfg.checkpoint=work_dirs/demo/classification/final.pth'
    assert [wanted in line for line in lines] == [False, True, True]


def test_stopped_demo_goes_on_with_the_failed_stage(run_demo, capsys):
    good = Path('train.py').read_text()
    Path('train.py').write_text(good + '\nif "detection" in folder.name: raise SystemExit(1)\n')
    assert run_demo('--workers', '1') == 1
    assert 'detection/train.log' in capsys.readouterr().err
    Path('train.py').write_text(good)
    run_demo('--workers', '1')
    assert calls() == ['classification', 'detection', 'detection', 'segmentation']


def test_label_maps_that_are_gone_are_made_again(run_demo):
    run_demo()
    shutil.rmtree('data/digit_scenes/classification/token_labels')
    run_demo()
    assert Path('data/digit_scenes/classification/token_labels/manifest.json').exists()


def test_processes_of_a_classifier_share_its_batch(demo):
    batch = demo.STAGES[0].options['train_dataloader.batch_size']
    assert (
        batch * demo.STAGES[0].processes
        == load_config(demo.STAGES[0].config).train_dataloader.batch_size
    )


def test_changed_classification_trains_everything_again(demo, run_demo):
    run_demo()
    Path(demo.STAGES[0].config).write_text(CLS_CONFIG.replace('max_epochs=2', 'max_epochs=3'))
    Path('train.py').write_text(
        TRAIN.replace("str(len(list(folder.glob('*'))))", "'other weights'")
    )
    run_demo()
    assert len(calls()) == 6


def test_quick_demo_ignores_the_expectations(run_demo):
    Path('configs/digits').mkdir(exist_ok=True)
    for config in Path('configs/digits').glob('*.py'):
        data = 'train_dataloader = test_dataloader = dict(dataset=dict(type="D"))\n'
        config.write_text(config.read_text().replace('10)', '10, val_interval=5)') + data)
    assert run_demo('--quick') == 0


def test_no_workers_are_refused(run_demo, capsys):
    assert run_demo('--workers', '0') == 2
    assert '--workers 0 runs nothing' in capsys.readouterr().err
