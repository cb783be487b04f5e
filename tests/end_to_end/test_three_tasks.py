"""Every task through the tools: train, test, paint, augment, resume."""

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from digit_options import options
from PIL import Image

CONFIGS = Path(__file__).parents[2] / 'configs' / 'digits'
CASES = {
    'classification': ('life-d6w96_digits-cls', 'accuracy/top1'),
    'detection': ('mask-rcnn_life-d6w96_digits-det', 'coco/segm_mAP'),
    'segmentation': ('upernet_life-d6w96_digits-seg', 'mIoU'),
}
TTA = """
_base_ = '{config}'
tta_model = {model}
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=({size}, {size}))],
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        {load}
        [{pack}],
    ]),
]
"""
META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
TTA_PARTS = {
    'classification': dict(
        model="dict(type='AverageClsScoreTTA')", size=64, load='', pack="dict(type='PackInputs')"
    ),
    'detection': dict(
        model="dict(type='DetTTAModel', tta_cfg=dict("
        "nms=dict(type='nms', iou_threshold=0.5), max_per_img=10))",
        size=128,
        load="[dict(type='LoadAnnotations', with_bbox=True)],",
        pack=f"dict(type='PackDetInputs', meta_keys={META})",
    ),
    'segmentation': dict(
        model="dict(type='SegTTAModel')",
        size=128,
        load="[dict(type='LoadAnnotations')],",
        pack="dict(type='PackSegInputs')",
    ),
}


def length(task: str, steps: int) -> list[str]:
    """Overrides that end training after 1 or 2 ``steps``."""
    if task == 'classification':
        return [f'train_cfg.max_epochs={steps}', 'train_cfg.val_interval=1']
    return [
        f'train_cfg.max_iters={steps}',
        'train_cfg.val_interval=1',
        'default_hooks.checkpoint.interval=1',
    ]


@pytest.fixture(scope='module', params=CASES)
def trained(
    request: pytest.FixtureRequest,
    digit_scenes: Path,
    tmp_path_factory: pytest.TempPathFactory,
    load_tool: Callable[[str], ModuleType],
) -> tuple[str, Path, Path]:
    """A task, its config and the work dir of a run of one step."""
    task = request.param
    config = CONFIGS / f'{CASES[task][0]}.py'
    work_dir = tmp_path_factory.mktemp(task)
    run_train = load_tool('train.py').main
    run_train(
        [str(config), '--work-dir', str(work_dir), *options(task, digit_scenes), *length(task, 1)]
    )
    return task, config, work_dir


def checkpoint(work_dir: Path) -> Path:
    """The run's last checkpoint."""
    return work_dir / (work_dir / 'last_checkpoint').read_text().strip()


def run_test(
    load_tool: Callable[[str], ModuleType],
    trained: tuple[str, Path, Path],
    root: Path,
    out: Path,
    flags: Sequence[str] = (),
    config: Path | None = None,
) -> dict[str, float]:
    """Test the trained model through the tool."""
    task, default, work_dir = trained
    arguments = [str(config or default), str(checkpoint(work_dir)), '--work-dir', str(out), *flags]
    return load_tool('test.py').main([*arguments, *options(task, root)])


def test_training_leaves_a_checkpoint(trained):
    _, _, work_dir = trained

    assert checkpoint(work_dir).name in ('epoch_1.pth', 'iter_1.pth')


def test_testing_returns_and_writes_the_metric(trained, digit_scenes, load_tool, tmp_path):
    flags = ['--out', str(tmp_path / 'metrics.json'), '--out-item', 'metrics']

    metrics = run_test(load_tool, trained, digit_scenes, tmp_path, flags)

    name = CASES[trained[0]][1]
    assert 0 <= metrics[name] <= 100
    assert json.loads((tmp_path / 'metrics.json').read_text())[name] == metrics[name]


def test_out_holds_a_prediction_of_every_image(trained, digit_scenes, load_tool, tmp_path):
    out = tmp_path / 'predictions.pkl'

    run_test(load_tool, trained, digit_scenes, tmp_path, ['--out', str(out)])

    images = {'classification': 20}.get(trained[0], 4)
    assert len(pickle.loads(out.read_bytes())) == images


def test_show_dir_holds_painted_images(trained, digit_scenes, load_tool, tmp_path):
    painted = tmp_path / 'painted'

    run_test(load_tool, trained, digit_scenes, tmp_path, ['--show-dir', str(painted)])

    pictures = [path for path in painted.rglob('*') if path.suffix in ('.png', '.jpg')]
    assert len(pictures) >= 4
    assert Image.open(pictures[0]).size[0] >= 64


def test_tta_of_both_flips_writes_predictions(trained, digit_scenes, load_tool, tmp_path):
    task, config, _ = trained
    augmented, out = tmp_path / 'augmented.py', tmp_path / 'predictions.pkl'
    text = TTA.format(config=config, **TTA_PARTS[task])
    augmented.write_text(text)
    flags = ['--tta', '--out', str(out)]
    if task == 'detection':  # mmdet merges the boxes of augmented images, but no masks.
        flags += ['--cfg-options', 'model.roi_head.mask_head=None', 'test_evaluator.metric=bbox']
        flags += ['default_hooks.strict_load.allow_partial=True']

    run_test(load_tool, trained, digit_scenes, tmp_path, flags, augmented)

    assert len(pickle.loads(out.read_bytes())) == {'classification': 20}.get(task, 4)


def test_tta_of_a_mask_head_is_refused(load_tool, digit_scenes, tmp_path, capsys):
    config = tmp_path / 'augmented.py'
    mask_rcnn = CONFIGS / f'{CASES["detection"][0]}.py'
    config.write_text(TTA.format(config=mask_rcnn, **TTA_PARTS['detection']))

    with pytest.raises(SystemExit):
        load_tool('test.py').main([str(config), 'x.pth', '--tta'])

    assert 'merges boxes but no masks' in capsys.readouterr().err


def test_resume_goes_on_from_the_last_checkpoint(trained, digit_scenes, load_tool, capsys):
    task, config, work_dir = trained
    arguments = [str(config), '--work-dir', str(work_dir), '--resume']

    load_tool('train.py').main([*arguments, *options(task, digit_scenes), *length(task, 2)])

    assert 'training goes on from' in capsys.readouterr().out
    assert checkpoint(work_dir).name in ('epoch_2.pth', 'iter_2.pth')
