"""Checkpoints as mmengine writes them load safely; code in them is refused."""

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import load_checkpoint, save_checkpoint

from mmtoken.vit.pretrained import read_state


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
