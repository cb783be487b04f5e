"""Training that diverges or meets bad data ends in the tool with a sentence and exit code 2."""

import shutil
from pathlib import Path

import pytest
from digit_options import options

from mmtoken.runtime.safe_loading import load_from_file

CONFIGS = Path(__file__).parents[2] / 'configs' / 'digits'
GUARDED = "_base_ = '{config}'\n"
# Two good steps and a checkpoint, then one with a learning rate of 1e30.
DIVERGING = """
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2))
optim_wrapper = dict(optimizer=dict(lr=1e30))
param_scheduler = [dict(type='ConstantLR', by_epoch=False, factor=1e-33, end=3)]
"""


def failed(load_tool, capsys, path, text, arguments) -> str:
    """What the tool says when it ends with exit code 2."""
    path.write_text(text)
    with pytest.raises(SystemExit) as end:
        load_tool('train.py').main([str(path), '--work-dir', str(path.parent / 'run'), *arguments])
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_diverges_keeps_the_checkpoint_before(tmp_path, load_tool, capsys, digit_scenes):
    config = GUARDED.format(config=CONFIGS / 'deit-d6w96_digits-cls.py') + DIVERGING
    arguments = options('classification', digit_scenes)

    said = failed(load_tool, capsys, tmp_path / 'diverging.py', config, arguments)

    assert said.startswith('error: iteration 4 (epoch 1): the loss is not finite (loss ')
    assert '(now 1e+30)' in said and 'iter_2.pth is the last checkpoint, untouched' in said
    [saved] = (tmp_path / 'run').glob('*.pth')
    weights = load_from_file(saved)['state_dict']
    assert saved.name == 'iter_2.pth'
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize('part', ['training', 'validation'])
def test_a_broken_image_is_named(tmp_path, load_tool, capsys, digit_scenes, part):
    shutil.copytree(digit_scenes / 'segmentation', tmp_path / 'data' / 'segmentation')
    broken = sorted((tmp_path / 'data/segmentation/images' / part).iterdir())[-1]
    broken.write_bytes(broken.read_bytes()[:500])
    config = GUARDED.format(config=CONFIGS / 'upernet_deit-d6w96_digits-seg.py')
    short = ['train_cfg.max_iters=4', 'train_cfg.val_interval=1']
    arguments = [*options('segmentation', tmp_path / 'data'), *short]

    said = failed(load_tool, capsys, tmp_path / 'broken.py', config, arguments)

    loader = dict(training='train', validation='val')[part]
    assert said.startswith(f'error: {loader}_dataloader: ')
    assert f'{broken} is truncated: the PNG has no end' in said
