"""A checkpoint with code in it is resumed where the user says so, and the sentence says how."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from test_resume_choice import Payload
from tiny_run import read, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime import safe_loading
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint, find_together


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Trust nothing afterwards."""
    monkeypatch.setattr(safe_loading, '_trusted', set())


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run whose two checkpoints hold code."""
    tiny_runner(tmp_path / 'run', epochs=2).train()
    for path in (tmp_path / 'run').glob('*.pth'):
        torch.save(dict(read(path), code=Payload()), path)
    return tmp_path / 'run'


def resume(load_tool, run: Path, *flags: str) -> Config:
    """What the tool makes of its flags."""
    tool = load_tool('train.py')
    loaders = dict.fromkeys(['train_dataloader', 'val_dataloader', 'test_dataloader'])
    cfg = Config(
        dict(loaders, optim_wrapper=dict(), load_from=None), cfg_text=' ', filename='config.py'
    )
    tool.apply_flags(cfg, tool.parse_args(['config.py', '--work-dir', str(run), *flags]))
    return cfg


def test_without_the_flag_it_is_passed_over_and_the_flag_is_named(load_tool, run, capfd):
    with pytest.raises(UserError, match=r'asks for builtins.print, refused without --trust-check'):
        resume(load_tool, run, '--resume')

    assert 'executed' not in capfd.readouterr().out


def test_with_it_the_recorded_one_is_resumed(load_tool, run):
    cfg = resume(load_tool, run, '--resume', '--trust-checkpoint')

    assert cfg.load_from == str(run / 'epoch_2.pth')


def test_no_other_one_is_trusted_with_it(load_tool, run, capfd):
    (run / 'epoch_2.pth').unlink()

    with pytest.raises(UserError, match='epoch_1.pth cannot be resumed'):
        resume(load_tool, run, '--resume', '--trust-checkpoint')

    assert 'executed' not in capfd.readouterr().out


def test_the_first_of_several_processes_trusts_it_when_it_looks(load_tool, run):
    resume(load_tool, run, '--resume', '--trust-checkpoint', '--launcher', 'pytorch')

    assert find_together(str(run)) == str(run / 'epoch_2.pth')


def test_the_files_of_a_folder_that_is_named_are_trusted(load_tool, run):
    (run / 'epoch_2.pth').rename(run / 'rank0.pth')
    (run / 'epoch_2.pth').mkdir()
    (run / 'rank0.pth').rename(run / 'epoch_2.pth' / 'rank0.pth')

    resume(load_tool, run, '--resume', str(run / 'epoch_2.pth'), '--trust-checkpoint')

    assert choose_checkpoint(run).checkpoint == run / 'epoch_2.pth'
