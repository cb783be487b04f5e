"""What the tools leave in a task's folder, read back."""

import json
import subprocess

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmtoken.errors import UserError
from mmtoken.tasks.tool_steps import (
    environment,
    export_weights,
    last_checkpoint,
    train_step,
    trained_iterations,
)
from mmtoken.tasks.tool_steps import (
    test_metrics as read_metrics,
)
from mmtoken.tasks.tool_steps import (
    test_step as make_test_step,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with what mmengine writes that is no plain data."""
    path = tmp_path / 'epoch_2.pth'
    content = {'meta': {'iter': 188, 'logs': HistoryBuffer([1.0], [1])}, 'optimizer': {}}
    torch.save(content | {'state_dict': {'weight': torch.ones(2)}}, path)
    (tmp_path / 'last_checkpoint').write_text(str(path))
    return path


def test_iterations_are_read_from_the_checkpoint(checkpoint):
    assert trained_iterations(checkpoint) == 188


def test_exported_weights_load_safely(checkpoint, tmp_path):
    export_weights(checkpoint, tmp_path / 'final.pth')
    content = torch.load(tmp_path / 'final.pth', weights_only=True)
    assert list(content) == ['state_dict'] and content['state_dict']['weight'].tolist() == [1, 1]


def test_a_training_on_a_gpu_is_read_without_one(checkpoint, tmp_path, monkeypatch):
    content = torch.load(checkpoint, weights_only=False)
    with monkeypatch.context() as gpu:
        gpu.setattr('torch.serialization.location_tag', lambda storage: 'cuda:0')
        torch.save(content, checkpoint)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)

    export_weights(checkpoint, tmp_path / 'final.pth')

    assert trained_iterations(checkpoint) == 188
    assert torch.load(tmp_path / 'final.pth')['state_dict']['weight'].tolist() == [1, 1]


def test_training_resumes_in_its_folder(tmp_path):
    cfg = Config(dict(train_cfg=dict(max_epochs=12)))
    step = train_step(tmp_path, 'model.py', tmp_path / 'run', cfg, ['--no-validate'])
    assert list(step.argv())[2:] == [
        'model.py', '--work-dir', str(tmp_path / 'run'), '--resume', 'auto', '--no-validate',
    ]  # fmt: skip
    assert step.epochs == 12


def test_processes_that_train_side_by_side_are_told_of_each_other(tmp_path):
    (tmp_path / 'train.py').write_text(
        'import os, sys\n'
        'from pathlib import Path\n'
        'words = [*sys.argv[1:], os.environ["WORLD_SIZE"], os.environ["RANK"]]\n'
        'Path(__file__).with_name(os.environ["RANK"]).write_text(" ".join(words))\n'
    )
    step = train_step(tmp_path, 'model.py', tmp_path, Config(dict(train_cfg={})), processes=2)
    subprocess.run(step.argv(), check=True, capture_output=True)
    for rank in ('0', '1'):
        words = (tmp_path / rank).read_text()
        assert words == f'model.py --work-dir {tmp_path} --resume auto --launcher pytorch 2 {rank}'


def test_testing_takes_the_last_checkpoint(checkpoint, tmp_path):
    argv = list(make_test_step(tmp_path, 'model.py', tmp_path, out=tmp_path / 'p.pkl').argv())
    assert argv[3] == str(checkpoint)
    assert argv[-2:] == ['--out', str(tmp_path / 'p.pkl')]


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match='has no last_checkpoint'):
        last_checkpoint(tmp_path)


def test_newest_metrics_count(tmp_path):
    for day, value in (('20260101_000000', 1.0), ('20260102_000000', 2.0)):
        (tmp_path / 'test' / day).mkdir(parents=True)
        (tmp_path / 'test' / day / f'{day}.json').write_text(json.dumps({'mIoU': value}))
    assert read_metrics(tmp_path) == {'mIoU': 2.0}


def test_missing_metrics_are_named(tmp_path):
    with pytest.raises(UserError, match='holds no metrics'):
        read_metrics(tmp_path)


def test_environment_names_torch():
    assert environment()['versions']['torch'] == torch.__version__.partition('+')[0]
