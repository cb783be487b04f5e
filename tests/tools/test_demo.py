"""The demo: its stages, table and pictures, with stand-ins for the tools."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import dump
from PIL import Image
from pycocotools import mask as rle

REPO = Path(__file__).parents[2]
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
import pathlib
pathlib.Path('data/digit_scenes').mkdir(parents=True, exist_ok=True)
pathlib.Path('data/digit_scenes/meta.json').write_text('{}')
"""


@pytest.fixture(autouse=True)
def tools_path(monkeypatch):
    """Let the tool's sibling be imported, as it is when it runs as a script."""
    monkeypatch.syspath_prepend(str(REPO / 'tools' / 'misc'))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with stand-ins for the configs and tools that the demo calls."""
    import demo

    from mmtoken.tasks import launch

    files = {'train.py': TRAIN, 'test.py': TEST, 'dataset_converters/digit_scenes.py': DRAW}
    files |= {stage.config: DENSE_CONFIG for stage in demo.STAGES}
    files[demo.STAGES[0].config] = CLS_CONFIG
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, 'TOOLS', tmp_path)
    monkeypatch.setattr(demo, 'export_weights', shutil.copyfile)
    monkeypatch.setattr(demo, 'paint', lambda work_dir: [])
    monkeypatch.setattr(launch, 'POLL_SECONDS', 0.01)
    return tmp_path


def run_demo(*flags: str) -> int:
    """Run the demo and return its exit code."""
    import demo

    try:
        demo.main(list(flags))
    except SystemExit as exit:
        return exit.code
    return 0


def calls() -> list[str]:
    """What was trained, in order."""
    return [line.split()[1] for line in Path('calls.txt').read_text().splitlines()]


def test_short_number_is_named_and_fails(workplace, capsys):
    assert run_demo() == 1
    assert 'mean IoU 65.0 % instead of 70 %' in capsys.readouterr().err


def test_numbers_as_expected_succeed(workplace):
    Path('test.py').write_text(TEST.replace('65.0', '75.0'))
    assert run_demo() == 0


def test_table_and_results_are_written(workplace):
    run_demo()
    assert (
        '| detection | box AP | 80.1 % | ≥ 75 % |' in Path('work_dirs/demo/results.md').read_text()
    )
    results = json.loads(Path('work_dirs/demo/results.json').read_text())
    assert results['stages']['classification']['metrics'] == {'top-1 accuracy': 90.0}


def test_second_demo_trains_nothing(workplace):
    run_demo()
    run_demo()
    assert sorted(calls()) == ['classification', 'detection', 'segmentation']


def test_detection_and_segmentation_start_from_the_classification(workplace):
    run_demo()
    lines = Path('calls.txt').read_text().splitlines()
    wanted = 'model.backbone.init_cfg.checkpoint=work_dirs/demo/classification/final.pth'
    assert [wanted in line for line in lines] == [False, True, True]


def test_stopped_demo_goes_on_with_the_failed_stage(workplace, capsys):
    good = Path('train.py').read_text()
    Path('train.py').write_text(good + '\nif "detection" in folder.name: raise SystemExit(1)\n')
    assert run_demo('--workers', '1') == 1
    assert 'detection/train.log' in capsys.readouterr().err
    Path('train.py').write_text(good)
    run_demo('--workers', '1')
    assert calls() == ['classification', 'detection', 'detection', 'segmentation']


def test_changed_classification_trains_everything_again(workplace):
    import demo

    run_demo()
    Path(demo.STAGES[0].config).write_text(CLS_CONFIG.replace('max_epochs=2', 'max_epochs=3'))
    Path('train.py').write_text(
        TRAIN.replace("str(len(list(folder.glob('*'))))", "'other weights'")
    )
    run_demo()
    assert len(calls()) == 6


def test_quick_demo_ignores_the_expectations(workplace):
    Path('configs/digits').mkdir(exist_ok=True)
    for config in Path('configs/digits').glob('*.py'):
        data = 'train_dataloader = test_dataloader = dict(dataset=dict(type="D"))\n'
        config.write_text(config.read_text().replace('10)', '10, val_interval=5)') + data)
    assert run_demo('--quick') == 0


def test_spread_covers_the_data_evenly():
    from mmtoken.experiments.demo_pictures import spread

    assert spread(11, 3) == [0, 5, 10]
    assert spread(2, 5) == [0, 1]


@pytest.fixture
def scene(tmp_path) -> Path:
    """A folder with one image of 16 px."""
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / '000000.png')
    return tmp_path


def is_picture(path: Path) -> bool:
    """Whether a PNG was drawn that is not of one color."""
    return Image.open(path).convert('L').getextrema() != (255, 255)


def test_classification_picture(scene):
    from mmtoken.experiments.demo_pictures import classification_picture

    score = torch.tensor([0.2, 0.8])
    sample = {'img_path': str(scene / '000000.png'), 'gt_label': torch.tensor([1]),
              'pred_label': torch.tensor([0]), 'pred_score': score}  # fmt: skip
    dump([sample] * 3, scene / 'predictions.pkl')
    classification_picture(scene / 'predictions.pkl', scene / 'out.png')
    assert is_picture(scene / 'out.png')


def test_detection_picture(scene):
    from mmtoken.experiments.demo_pictures import detection_picture

    mask = rle.encode(np.asfortranarray(np.eye(16, dtype=np.uint8)))
    text = {'size': mask['size'], 'counts': mask['counts'].decode()}
    coco = {
        'images': [{'id': 1, 'file_name': '000000.png', 'height': 16, 'width': 16}],
        'categories': [{'id': 1, 'name': '0'}, {'id': 2, 'name': '1'}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 2, 'bbox': [1, 2, 8, 9], 'area': 9,
                         'iscrowd': 0, 'segmentation': text}],
    }  # fmt: skip
    (scene / 'instances.json').write_text(json.dumps(coco))
    found = {
        'labels': torch.tensor([1, 0]),
        'scores': torch.tensor([0.9, 0.1]),
        'bboxes': torch.tensor([[1.0, 2, 9, 11], [0, 0, 4, 4]]),
        'masks': [mask, mask],
    }
    sample = {'img_id': 1, 'img_path': str(scene / '000000.png'), 'pred_instances': found}
    dump([sample], scene / 'predictions.pkl')
    detection_picture(scene / 'predictions.pkl', scene / 'instances.json', scene / 'out.png')
    assert is_picture(scene / 'out.png')


def test_segmentation_picture(scene):
    from mmtoken.experiments.demo_pictures import segmentation_picture

    for name, label in (('true', 0), ('said', 10)):
        (scene / name).mkdir()
        Image.fromarray(np.full((16, 16), label, np.uint8)).save(scene / name / '000000.png')
    segmentation_picture(scene / 'said', scene / 'true', scene, scene / 'out.png')
    assert is_picture(scene / 'out.png')
