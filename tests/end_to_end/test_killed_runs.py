"""Real trainings are killed again and again, and end with the weights of the undisturbed one."""

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from digit_options import options

REPO = Path(__file__).parents[2]
CONFIGS = {
    'classification': 'life-d6w96_digits-cls',
    'detection': 'mask-rcnn_life-d6w96_digits-det',
    'segmentation': 'upernet_life-d6w96_digits-seg',
}
LENGTH = {
    # 40 images in batches of 4.
    'classification': ['train_cfg.max_epochs=5', 'train_cfg.val_interval=2'],
    'detection': ['train_cfg.max_iters=40', 'train_cfg.val_interval=15'],
    'segmentation': ['train_cfg.max_iters=40', 'train_cfg.val_interval=15'],
}
CONFIG = """
_base_ = '{base}'
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=3, by_epoch=False, save_best='auto', max_keep_ckpts=2),
)
"""
STEP = re.compile(r'(Iter|Epoch)\(train\)')
MOMENTS = 20


def start(config: Path, work_dir: Path, task: str, data: Path) -> subprocess.Popen:
    """Start or resume a training in a process of its own."""
    command = [sys.executable, 'tools/train.py', str(config), '--work-dir', str(work_dir)]
    command += ['--resume', *options(task, data), *LENGTH[task]]
    for loader in ('train_dataloader', 'val_dataloader'):
        command += [f'{loader}.num_workers=2', f'{loader}.persistent_workers=True']
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(
        command, cwd=REPO, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def kill(run: subprocess.Popen, steps: int, delay: float) -> bool:
    """Kill a run some time after it has logged some steps; whether it had not ended before."""
    for line in run.stdout:
        steps -= bool(STEP.search(line))
        if steps < 0:
            break
    time.sleep(delay)  # the moment is any within a step
    run.kill()
    run.stdout.close()
    return run.wait() != 0


def finish(run: subprocess.Popen) -> None:
    """Let a run end."""
    log, _ = run.communicate()
    assert run.returncode == 0, log[-3000:]


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    """Of the last checkpoint."""
    name = Path((work_dir / 'last_checkpoint').read_text().strip()).name
    return torch.load(work_dir / name, weights_only=False)['state_dict']


@pytest.mark.long
@pytest.mark.parametrize('task', CONFIGS)
def test_a_run_that_is_killed_twenty_times_ends_with_the_same_weights(task, digit_scenes, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(base=REPO / 'configs' / 'digits' / f'{CONFIGS[task]}.py'))
    finish(start(config, tmp_path / 'whole', task, digit_scenes))
    moments, killed = random.Random(task), 0

    for _ in range(MOMENTS):
        run = start(config, tmp_path / 'killed', task, digit_scenes)
        killed += kill(run, moments.randrange(6), moments.uniform(0, 0.3))
    finish(start(config, tmp_path / 'killed', task, digit_scenes))

    assert killed > MOMENTS // 2
    expected, found = weights(tmp_path / 'whole'), weights(tmp_path / 'killed')
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
