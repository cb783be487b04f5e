"""Checkpoints as mmengine writes them load safely; code in them is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import load_checkpoint, save_checkpoint

from mmtoken.errors import UserError
from mmtoken.runtime.safe_loading import load_from_file
from mmtoken.weights import read_state

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'digits' / 'life-d6w96_digits-cls.py')


def mmengine_checkpoint(path):
    """What a runner saves: weights, the optimizer, and the message hub with its log buffers."""
    hub = MessageHub('mmtoken-test-safe-loading')
    hub.update_scalar('train/loss', 1.25)
    hub.update_scalar('train/lr', np.float64(0.1))
    hub.update_info('epoch', 3)
    weights = {'weight': torch.ones(2, 3), 'bias': torch.zeros(2)}
    save_checkpoint(
        {'meta': dict(epoch=3, iter=7), 'state_dict': weights, 'message_hub': hub.state_dict()},
        str(path),
    )
    return path


def test_weights_of_a_training_checkpoint_can_be_read(tmp_path):
    state = read_state(mmengine_checkpoint(tmp_path / 'epoch_3.pth'))

    assert torch.equal(state['weight'], torch.ones(2, 3))


def test_mmengine_itself_reads_its_checkpoint_back(tmp_path):
    file = mmengine_checkpoint(tmp_path / 'epoch_3.pth')

    loaded = load_checkpoint(torch.nn.Linear(3, 2), str(file), strict=True)

    buffer = loaded['message_hub']['log_scalars']['train/loss']
    assert buffer.current() == 1.25


def test_weights_can_be_read_after_mmengine_has_read_some(tmp_path):
    file = mmengine_checkpoint(tmp_path / 'epoch_3.pth')
    load_checkpoint(torch.nn.Linear(3, 2), str(file))

    state = read_state(file)

    assert set(state) == {'weight', 'bias'}


class Reach:
    """Pickles as `getattr` of what is no method of a log buffer: a way to its globals."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_getattr_of_anything_else_is_refused(tmp_path):
    torch.save({'state_dict': {}, 'meta': Reach()}, tmp_path / 'reach.pth')

    with pytest.raises(ValueError, match='cannot be read as weights'):
        read_state(tmp_path / 'reach.pth')


class Payload:
    """Pickles as code that creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f'open({str(self.path)!r}, "w")',)


@pytest.fixture
def payload(tmp_path):
    """A checkpoint with code in it, and the file that the code would create."""
    created = tmp_path / 'created'
    torch.save({'state_dict': {}, 'meta': Payload(created)}, tmp_path / 'payload.pth')
    return tmp_path / 'payload.pth', created


def test_mmengine_does_not_execute_what_is_in_a_file(payload):
    file, created = payload

    with pytest.raises(UserError, match='payload.pth cannot be read as weights'):
        load_checkpoint(torch.nn.Linear(3, 2), str(file))

    assert not created.exists()


@pytest.mark.parametrize('name', ['https://host/payload.pth', 'torchvision://resnet18'])
def test_mmengine_does_not_execute_what_it_downloads(payload, monkeypatch, name):
    file, created = payload

    def download(*args, **kwargs):
        return torch.load(file, weights_only=False)

    monkeypatch.setattr('mmengine.runner.checkpoint.load_url', download)

    with pytest.raises(UserError, match=f'{name} cannot be read as weights'):
        load_checkpoint(torch.nn.Linear(3, 2), name)

    assert not created.exists()


def test_a_download_of_weights_is_loaded(tmp_path, monkeypatch):
    file = mmengine_checkpoint(tmp_path / 'epoch_3.pth')
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.load_url', lambda *args, **kwargs: torch.load(file)
    )

    model = torch.nn.Linear(3, 2)
    load_checkpoint(model, 'https://host/epoch_3.pth', strict=True)

    assert torch.equal(model.weight, torch.ones(2, 3))


def test_a_damaged_file_is_named(tmp_path):
    file = mmengine_checkpoint(tmp_path / 'epoch_3.pth')
    file.write_bytes(file.read_bytes()[:-500])

    with pytest.raises(UserError, match=r'epoch_3.pth .* \(RuntimeError: .*zip archive.*\);'):
        load_checkpoint(torch.nn.Linear(3, 2), str(file))


def test_a_torchscript_archive_is_refused_with_how_to_save_its_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.jit.script(torch.nn.Linear(2, 3)).save('ViT-B-16.pt')

    with pytest.raises(UserError, match='is a TorchScript archive, which holds code') as raised:
        load_from_file('ViT-B-16.pt')

    exec(str(raised.value).partition('its weights alone: ')[2])
    assert load_from_file('weights.pth').keys() == {'weight', 'bias'}


def test_what_is_no_weight_is_named_without_the_way_around(payload):
    file, _ = payload

    with pytest.raises(
        UserError, match=r'\(UnpicklingError: Unsupported global.*exec[^.]*\);'
    ) as info:
        load_from_file(str(file))

    assert 'weights_only' not in str(info.value)


@pytest.mark.parametrize('error', [MemoryError, torch.OutOfMemoryError])
def test_a_lack_of_memory_is_not_blamed_on_the_file(tmp_path, monkeypatch, error):
    file = mmengine_checkpoint(tmp_path / 'epoch_3.pth')

    def load(*args, **kwargs):
        raise error('no memory left')

    monkeypatch.setattr(torch, 'load', load)

    with pytest.raises(error, match='no memory left'):
        load_from_file(str(file))


@pytest.mark.parametrize('use', ['test', 'resume', 'load_from'])
def test_the_tools_refuse_it_with_a_sentence(
    payload, use, load_tool, capsys, tmp_path, digit_scenes
):
    file, created = payload
    root = digit_scenes / 'classification'
    options = [f'{name}_dataloader.dataset.data_root={root}' for name in ('train', 'val', 'test')]
    arguments = {'test': [str(file)], 'resume': ['--resume', str(file)]}.get(use, [])
    options += [f'load_from={file}'] if use == 'load_from' else []
    options.append(f'experiment_name=payload-{use}')
    tool = load_tool('test.py' if use == 'test' else 'train.py')

    with pytest.raises(SystemExit) as exit_:
        tool.main([CONFIG, *arguments, '--work-dir', str(tmp_path), '--cfg-options', *options])

    assert exit_.value.code == 2
    assert 'hold code, which is never executed' in capsys.readouterr().err
    assert not created.exists()
