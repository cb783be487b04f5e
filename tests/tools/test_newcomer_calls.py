"""Twenty-two calls as they go wrong in a first hour: each is answered before anything is built."""

from dataclasses import dataclass
from pathlib import Path

import pytest

DIGITS = Path(__file__).parents[2] / 'configs' / 'digits'
CONFIGS = {
    'classification': DIGITS / 'life-d6w96_digits-cls.py',
    'detection': DIGITS / 'mask-rcnn_life-d6w96_digits-det.py',
    'segmentation': DIGITS / 'upernet_life-d6w96_digits-seg.py',
}
DATASET = 'train_dataloader = dict(dataset=dict({}))'
LETTERS = tuple('abcdefghij')


@dataclass(frozen=True)
class Call:
    """One call of tools/train.py.

    Args:
        task: The kind of scenes it trains on.
        said: What the answer has to name.
        option: What stands behind ``--cfg-options``.
        text: Lines of a config that inherits the task's own.
        work_dir: The folder, relative to an empty one that holds a file `notes.txt`.
    """

    task: str
    said: tuple[str, ...]
    option: str = ''
    text: str = ''
    work_dir: str = 'work'


CALLS = {
    'old spelling of the classes': Call(
        'detection',
        ("'CLASSES'", "'classes'"),
        text=DATASET.format(f'metainfo=dict(_delete_=True, CLASSES={LETTERS})'),
    ),
    'a folder by another name': Call(
        'detection',
        ("'image'", "'img'"),
        text=DATASET.format("data_prefix=dict(_delete_=True, image='train/')"),
    ),
    'a filter that is none': Call(
        'detection',
        ("'filter_empty'", "'filter_empty_gt'"),
        text=DATASET.format('filter_cfg=dict(_delete_=True, filter_empty=True)'),
    ),
    'a threshold by another name': Call(
        'detection',
        ("'scor_threshold'", "'score_thr'"),
        option='model.test_cfg.rcnn.scor_threshold=0.3',
    ),
    'a multiplier that is none': Call(
        'classification',
        ("'lr_mul'", "'lr_mult'"),
        text="groups = dict(custom_keys={'backbone': dict(lr_mul=0.1)})\n"
        "optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.05)\n"
        'optim_wrapper = dict(_delete_=True, optimizer=optimizer, paramwise_cfg=groups)',
    ),
    'a misspelt backend': Call(
        'classification',
        ("'backnd'", "'backend'"),
        text="env_cfg = dict(dist_cfg=dict(_delete_=True, backnd='gloo'))",
    ),
    'a misspelt option of a hook': Call(
        'classification',
        ("'save_bset'", "'save_best'"),
        text="default_hooks = dict(checkpoint=dict(save_bset='auto'))",
    ),
    'too few classes in a classifier': Call(
        'classification', ('model.head.num_classes is 5', '10 classes'), 'model.head.num_classes=5'
    ),
    "COCO's classes left in a detector": Call(
        'detection',
        ('model.roi_head.bbox_head.num_classes is 80', '10 classes'),
        option='model.roi_head.bbox_head.num_classes=80',
    ),
    'too few classes in a mask head': Call(
        'detection',
        ('model.roi_head.mask_head.num_classes is 3', '10 classes'),
        option='model.roi_head.mask_head.num_classes=3',
    ),
    'too few classes in an auxiliary head': Call(
        'segmentation',
        ('model.auxiliary_head.num_classes is 10', '11 classes'),
        option='model.auxiliary_head.num_classes=10',
    ),
    'a learning rate that is no number': Call(
        'classification', ("optimizer.lr 'abc'", '0.0001'), option='optim_wrapper.optimizer.lr=abc'
    ),
    'no image in a batch': Call(
        'classification', ('batch_size 0', 'from 1 up'), option='train_dataloader.batch_size=0'
    ),
    'fewer than no workers': Call(
        'classification', ('num_workers -1', 'from 0 up'), option='train_dataloader.num_workers=-1'
    ),
    'fewer than no epochs': Call(
        'classification', ('max_epochs -3', 'from 1 up'), option='train_cfg.max_epochs=-3'
    ),
    'no sample': Call(
        'classification',
        ('dataset.indices 0', 'leaves no sample'),
        option='train_dataloader.dataset.indices=0',
    ),
    'patches of no size': Call(
        'classification', ('patch_size 0', 'from 1 up'), option='model.backbone.patch_size=0'
    ),
    'images of a negative size': Call(
        'classification', ('img_size -5', 'from 1 up'), option='model.backbone.img_size=-5'
    ),
    'no heads': Call(
        'classification', ('num_heads 0', 'from 1 up'), option='model.backbone.arch.num_heads=0'
    ),
    'all paths dropped': Call(
        'classification',
        ('drop_path_rate 1.0', 'not including 1'),
        option='model.backbone.drop_path_rate=1.0',
    ),
    'a window of a fraction': Call(
        'detection', ('window_size 7.0', 'whole number'), option='model.backbone.window_size=7.0'
    ),
    'a work dir below a file': Call(
        'classification', ('work_dir', 'notes.txt/run', 'not'), work_dir='notes.txt/run'
    ),
}


def arguments(call: Call, scenes: Path, folder: Path) -> list[str]:
    """The command line of a call: two steps on the scenes, in this process."""
    config, data = CONFIGS[call.task], scenes / call.task
    if call.text:
        config = folder / 'config.py'
        config.write_text(f'_base_ = {str(CONFIGS[call.task])!r}\n{call.text}\n')
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    options = [f'{name}.dataset.data_root={data}' for name in loaders]
    options += [f'{name}.num_workers=0' for name in loaders]
    epochs = call.task == 'classification'
    options += ['train_cfg.max_epochs=1'] if epochs else ['train_cfg.max_iters=2']
    options += ['train_cfg.val_interval=1' if epochs else 'train_cfg.val_interval=2']
    if not epochs:
        options += ['model.backbone.init_cfg=None']
    if call.task == 'detection':
        truth = f'{data}/annotations/instances_val.json'
        options += [f'val_evaluator.ann_file={truth}', f'test_evaluator.ann_file={truth}']
    (folder / 'notes.txt').touch()
    flags = ['--no-persistent-workers', '--work-dir', str(folder / call.work_dir)]
    return [str(config), *flags, '--cfg-options', *options, *filter(None, [call.option])]


@pytest.mark.parametrize('name', CALLS)
def test_a_call_that_cannot_work_is_answered_by_a_sentence(
    name, load_tool, digit_scenes, tmp_path, capsys
):
    call = CALLS[name]

    with pytest.raises(SystemExit) as exit_:
        load_tool('train.py').main(arguments(call, digit_scenes, tmp_path))

    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert exit_.value.code == 2
    assert error.startswith('error: ')
    assert [part for part in call.said if part not in error] == []
    assert not (tmp_path / 'work').exists()
