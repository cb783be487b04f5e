"""What a user of tools/train.py and tools/test.py sees: the run, and an error as the last line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from digit_options import options

REPO = Path(__file__).parents[2]
CONFIGS = {
    'classification': 'life-d6w96_digits-cls',
    'detection': 'mask-rcnn_life-d6w96_digits-det',
}
TABLES = ('System environment:', 'Config:\n', 'Hooks will be executed', 'depth 0: lr')


def seen(tool: str, task: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a tool; its standard output holds all that the terminal would show."""
    command = [sys.executable, f'tools/{tool}.py', f'configs/digits/{CONFIGS[task]}.py', *arguments]
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    for name in ('PYTHONWARNINGS', 'PYTHONUNBUFFERED'):
        env.pop(name, None)
    return subprocess.run(
        command, cwd=REPO, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture
def few_weights(tmp_path) -> str:
    """A checkpoint that covers no model."""
    path = tmp_path / 'few.pth'
    torch.save({'state_dict': {'backbone.cls_token': torch.zeros(1, 1, 96)}}, path)
    return str(path)


def test_a_refused_config_is_answered_by_its_sentence_alone():
    done = seen('train', 'detection', '--cfg-options', 'model.backbone.patch_sise=8')

    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert line.startswith('error: ')


def test_an_error_of_the_run_is_the_last_line_and_in_sight(few_weights, digit_scenes, tmp_path):
    words = [few_weights, '--work-dir', str(tmp_path / 'work')]

    done = seen('test', 'detection', *words, *options('detection', digit_scenes))

    lines = done.stdout.splitlines()
    assert done.returncode == 2
    assert lines[-1].startswith('error: the weights of ')
    # Detection data sets tell four lines each.
    assert len(lines) <= 20, done.stdout


def test_a_run_is_seen_on_the_terminal_and_its_tables_stand_in_the_log(digit_scenes, tmp_path):
    words = [*options('classification', digit_scenes), 'train_cfg.max_epochs=1']

    done = seen('train', 'classification', '--work-dir', str(tmp_path), *words)

    assert done.returncode == 0, done.stdout
    (log,) = tmp_path.glob('*/*.log')
    assert str(log) in done.stdout
    assert 'accuracy/top1' in done.stdout
    assert [table for table in TABLES if table in done.stdout] == []
    assert [table for table in TABLES if table not in log.read_text()] == []
    assert len(done.stdout.splitlines()) <= 20, done.stdout


def test_the_config_is_printed_to_who_asks(few_weights, digit_scenes, tmp_path, load_tool, capsys):
    config = REPO / 'configs' / 'digits' / f'{CONFIGS["classification"]}.py'
    words = [str(config), few_weights, '--work-dir', str(tmp_path), '--print-config']

    with pytest.raises(SystemExit):
        load_tool('test.py').main([*words, *options('classification', digit_scenes)])

    assert "type='LIFEViT'" in capsys.readouterr().out
