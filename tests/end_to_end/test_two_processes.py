"""Two processes of one machine train and test together, without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
CONFIG = 'configs/digits/life-d6w96_digits-cls.py'


def run_tool(tool: str, *arguments: str) -> str:
    """Run a tool in two processes; its output, which must report the metric once."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    command += [f'tools/{tool}.py', CONFIG, *arguments]
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_two_cpu_processes_train_and_test(tmp_path, digit_scenes):
    options = ['--launcher', 'pytorch', '--work-dir', str(tmp_path), '--cfg-options']
    for name in ('train', 'val', 'test'):
        loader = f'{name}_dataloader'
        options += [f'{loader}.dataset.data_root={digit_scenes / "classification"}']
        options += [f'{loader}.{key}' for key in ('num_workers=0', 'persistent_workers=False')]
        options += [f'{loader}.batch_size=4']

    log = run_tool('train', *options, 'train_cfg.max_epochs=1', 'default_hooks.logger.interval=1')

    # 40 images, shared by two processes of 4 each.
    assert '[5/5]' in log
    assert log.count('Saving checkpoint') == 1
    assert 'accuracy/top1' in run_tool('test', str(tmp_path / 'epoch_1.pth'), *options)
