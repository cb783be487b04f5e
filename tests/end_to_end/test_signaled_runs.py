"""Runs of all three libraries and of two processes end by a signal and go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from digit_options import options

REPO = Path(__file__).parents[2]
CONFIG = """
_base_ = {base!r}
custom_imports = dict(
    imports=['mmtoken',
             'sending_hook'],
    allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(type='mmpretrain.ReliableCheckpointHook', max_keep_ckpts=1),
    signal=dict(type='mmpretrain.SignalHook'))
custom_hooks = [dict(type='mmpretrain.SendSignal', at={at}, rank={rank})]
"""
CASES = {
    'classification': ('life-d6w96_digits-cls', 'max_epochs=2', 'iter_2.pth', 'epoch_2.pth'),
    'detection': ('mask-rcnn_life-d6w96_digits-det', 'max_iters=4', 'iter_2.pth', 'iter_4.pth'),
    'segmentation': ('upernet_life-d6w96_digits-seg', 'max_iters=4', 'iter_2.pth', 'iter_4.pth'),
}


def train(folder: Path, *arguments: str, processes: int = 1) -> subprocess.CompletedProcess:
    """Train with the tool."""
    launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}']
    command = [sys.executable, *(launcher if processes > 1 else []), 'tools/train.py']
    command += [str(folder / 'config.py'), '--work-dir', str(folder / 'run')]
    command += ['--launcher', 'pytorch'] if processes > 1 else []
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    path = [str(REPO / 'projects'), str(REPO / 'tests' / 'runtime'), env.get('PYTHONPATH', '')]
    env['PYTHONPATH'] = os.pathsep.join(path)
    return subprocess.run(
        [*command, *arguments], cwd=REPO, env=env, capture_output=True, text=True, timeout=600
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ('task', 'processes'),
    [('classification', 2), ('detection', 1), ('segmentation', 1)],
)
def test_a_signal_ends_a_run_which_goes_on_from_its_step(tmp_path, digit_scenes, task, processes):
    base, length, saved, last = CASES[task]
    # What one of two processes gets is read by both a step later.
    place = dict(at=2 - processes, rank=processes - 1)
    text = CONFIG.format(base=str(REPO / 'configs' / 'digits' / f'{base}.py'), **place)
    (tmp_path / 'config.py').write_text(text)
    changes = [*options(task, digit_scenes), f'train_cfg.{length}', 'train_cfg.val_interval=2']
    changes.append('default_hooks.logger.interval=1')

    ended = train(tmp_path, *changes, processes=processes)

    # torchrun answers any failure by 1.
    assert ended.returncode == (143 if processes == 1 else 1), ended.stderr
    assert 'SIGTERM: the run ends after iteration 2' in ended.stdout + ended.stderr
    assert 'terminate called' not in ended.stderr
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == [saved]
    resumed = train(tmp_path, '--resume=must', *changes, processes=processes)
    assert resumed.returncode == 0, resumed.stderr
    assert f'training goes on from {tmp_path / "run" / saved}' in resumed.stdout + resumed.stderr
    assert (tmp_path / 'run' / 'last_checkpoint').read_text() == last
