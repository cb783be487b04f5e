"""Two processes of one machine train and test together, without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import torch

REPO = Path(__file__).parents[2]
CONFIG = 'configs/digits/life-d6w96_digits-cls.py'


def run_tool(tool: str, *arguments: str, config: str = CONFIG) -> str:
    """Run a tool in two processes; its output, which must report the metric once."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    command += [f'tools/{tool}.py', config, *arguments]
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def tiny_options(work_dir: Path, data: Path) -> list[str]:
    """Overrides for a run of two processes over tiny data."""
    options = ['--launcher', 'pytorch', '--work-dir', str(work_dir), '--cfg-options']
    for name in ('train', 'val', 'test'):
        loader = f'{name}_dataloader'
        options += [f'{loader}.dataset.data_root={data / "classification"}']
        options += [f'{loader}.{key}' for key in ('num_workers=0', 'persistent_workers=False')]
        options += [f'{loader}.batch_size=4']
    return options


def test_two_cpu_processes_train_and_test(tmp_path, digit_scenes):
    options = tiny_options(tmp_path, digit_scenes)
    log = run_tool('train', *options, 'train_cfg.max_epochs=1', 'default_hooks.logger.interval=1')

    # 40 images, shared by two processes of 4 each.
    assert '[5/5]' in log
    assert log.count('Saving checkpoint') == 1
    assert 'accuracy/top1' in run_tool('test', str(tmp_path / 'epoch_1.pth'), *options)


def test_two_processes_go_on_without_the_pretrained_weights(tmp_path, digit_scenes):
    options = tiny_options(tmp_path / 'run', digit_scenes)
    weights = tmp_path / 'pretrained.pth'
    init = [f'model.init_cfg.checkpoint={weights}', 'model.init_cfg.type=Pretrained']
    options += [*init, 'train_cfg.val_interval=9']
    torch.save({}, weights)
    run_tool('train', *options, 'train_cfg.max_epochs=1')
    weights.unlink()

    log = run_tool('train', '--resume', *options, 'train_cfg.max_epochs=2')

    assert 'resumed epoch: 1' in log


def test_two_processes_find_the_rules_of_classes_that_one_would(tmp_path, digit_scenes, load_tool):
    config = 'configs/digits/auto-calibrated-deit-d6w96_digits-cls.py'
    two = tiny_options(tmp_path / 'two', digit_scenes)
    both = ['load_from=None', 'train_cfg.max_epochs=1', 'custom_hooks.0.fewest=1']
    both += ['custom_hooks.0.stages.0.losses=[token,dimension]']
    both += ['model.foreground.confidence=0.0', 'model.backbone.arch.num_layers=2']

    log = run_tool('train', *two, *both, config=config)

    assert log.count('calibration stage 1 of 2 begins') == 1
    one = tiny_options(tmp_path / 'one', digit_scenes)[2:]
    own = ['experiment_name=rules', 'visualizer.name=rules']
    load_tool('train.py').main([config, *one, *both, *own])
    files = [sorted((tmp_path / n / 'calibration').glob('*.pth')) for n in ('one', 'two')]
    # Of the same weights, by their name.
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    found, expected = (torch.load(paths[0], weights_only=True) for paths in files)
    assert found.keys() == expected.keys() and expected['counts'].sum() > 0
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
