"""What a run saves is read back, or named when it is saved."""

import datetime
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from malicious_files import by_attribute, saved
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import save_checkpoint
from tiny_run import At, Numbers, read, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime.safe_loading import load_from_file

HARMLESS = {
    'bool': np.bool_(True),
    'float16': np.float16(0.5),
    'int16': np.int16(-3),
    'int8': np.int8(-3),
    'text': np.str_('é🐈'),
    'path': Path('a/b'),
    'moment': datetime.datetime(2026, 11, 29, 6, tzinfo=datetime.timezone.utc),
    'span': datetime.timedelta(seconds=3),
    'range': range(1, 7, 2),
    'frozen': frozenset({1, 2}),
    'no bytes': b'',
    'config': ConfigDict(a=ConfigDict(b=[1])),
}


@pytest.fixture
def warnings():
    """What mmengine's logger is told, of warnings and above."""
    found = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = MMLogger.get_instance('plain')
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@pytest.mark.parametrize('name', HARMLESS)
def test_harmless_data_comes_back_as_it_was(tmp_path, warnings, name):
    save_checkpoint({'state_dict': {}, 'meta': HARMLESS[name]}, str(tmp_path / 'a.pth'))

    found = read(tmp_path / 'a.pth')['meta']

    assert found == HARMLESS[name] and type(found) is type(HARMLESS[name])
    assert not warnings


def test_arrays_of_all_kinds_of_numbers_come_back(tmp_path):
    arrays = {kind: np.arange(3).astype(kind) for kind in '?bBhHiIlLefdFD'}
    torch.save(arrays, tmp_path / 'a.pth')

    found = read(tmp_path / 'a.pth')

    for kind, array in arrays.items():
        assert found[kind].dtype == array.dtype and found[kind].tolist() == array.tolist()


class Unknown:
    """A type of a project's own."""


@pytest.mark.parametrize(
    ('value', 'named'),
    [
        (Unknown(), r'test_plain_checkpoints\.Unknown'),
        (np.array(['a']), 'TypeError: .*'),
        (np.array([Unknown()]), r'.*Unknown'),
    ],
    ids=['type', 'texts', 'objects'],
)
def test_what_no_resumed_run_will_read_is_named_with_the_first_save(
    tmp_path, warnings, value, named
):
    for name in ('a.pth', 'b.pth'):
        save_checkpoint({'state_dict': {}, 'meta': value}, str(tmp_path / name))

    [warning] = warnings
    start = rf'{tmp_path}/a.pth is saved, but a resumed run will not read it \({named}\): '
    assert re.match(start, warning)
    with pytest.raises(UserError, match='cannot be read as weights'):
        read(tmp_path / 'a.pth')


def test_a_run_with_one_cycle_of_the_learning_rate_resumes_with_its_rates(tmp_path, warnings):
    def rates(folder, epochs, **options):
        found = []
        hook = At('after_train_iter', lambda runner: found.append(runner.optim_wrapper.get_lr()))
        schedule = dict(type='OneCycleLR', eta_max=0.1, total_steps=12, end=12, by_epoch=False)
        runner = tiny_runner(
            folder, epochs=epochs, param_scheduler=schedule, hooks=[hook], **options
        )
        runner.train()
        return found

    whole = rates(tmp_path / 'whole', 3)
    rates(tmp_path / 'resumed', 2)

    assert rates(tmp_path / 'resumed', 3, resume=True) == whole[8:]
    assert not [text for text in warnings if 'will not read it' in text]


class Described(Numbers):
    """A data set with a nested description, which a runner saves with each checkpoint."""

    metainfo = dict(palettes=ConfigDict(cat=ConfigDict(color=[1, 2, 3])))


def test_a_run_on_data_with_nested_metainfo_resumes(tmp_path):
    loader = tiny_runner(tmp_path / 'any')._train_dataloader | dict(dataset=Described(16))
    tiny_runner(tmp_path / 'run', epochs=1, train_dataloader=loader).train()

    runner = tiny_runner(tmp_path / 'run', epochs=2, train_dataloader=loader, resume=True)
    runner.train()

    assert runner.epoch == 2


def test_what_a_hook_saves_and_nobody_can_read_is_told_while_the_run_goes_on(tmp_path, caplog):
    def put(runner):
        runner.message_hub.update_info('mine', Unknown())
        MMLogger.get_current_instance().addHandler(caplog.handler)

    tiny_runner(tmp_path, hooks=[At('before_train', put)]).train()

    assert caplog.text.count('but a resumed run will not read it') == 1
    assert len(list(tmp_path.glob('epoch_*.pth'))) == 3


@pytest.mark.skipif(
    not hasattr(mmengine_checkpoint, 'get_torch_safe_globals'), reason="of OneDL's mmengine"
)
def test_onedl_does_not_hand_out_all_attributes(tmp_path):
    saved(by_attribute(), tmp_path / 'a.pth')

    with (
        torch.serialization.safe_globals(mmengine_checkpoint.get_torch_safe_globals()),
        pytest.raises(UserError, match='may not ask for the attribute'),
    ):
        load_from_file(str(tmp_path / 'a.pth'))
