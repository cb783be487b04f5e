"""A checkpoint file is whole, or what was there before is kept."""

import errno
import fcntl
import os
import resource
import subprocess
import threading
from pathlib import Path

import mmengine.runner
import mmengine.runner.checkpoint
import mmengine.runner.runner
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import save_checkpoint
from tiny_run import read, run_apart, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.checkpoints import latest_checkpoint, record_checkpoint
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint
from mmtoken.runtime.saving import atomic_saving
from mmtoken.runtime.saving.atomic_files import PART
from mmtoken.runtime.saving.atomic_saving import install_atomic_saving, write_checkpoint
from mmtoken.runtime.saving.background_writer import wait_for_writes

install_atomic_saving()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_torch_reads_what_was_written(tmp_path):
    write_checkpoint({'weight': torch.arange(5.0)}, tmp_path / 'new' / 'a.pth')

    assert torch.equal(torch.load(tmp_path / 'new' / 'a.pth')['weight'], torch.arange(5.0))
    assert names(tmp_path / 'new') == ['a.pth']


@pytest.mark.parametrize(
    'module', [mmengine.runner, mmengine.runner.runner, mmengine.runner.checkpoint]
)
def test_mmengine_saves_by_it_wherever_it_has_the_function(module):
    assert module.save_checkpoint is atomic_saving.save_checkpoint
    # As others do who had it before.
    assert save_checkpoint is atomic_saving.save_checkpoint


def test_an_address_is_left_to_mmengine(monkeypatch):
    called = []
    monkeypatch.setattr(
        atomic_saving, 'mmengine_save_checkpoint', lambda *args: called.append(args)
    )

    mmengine.runner.save_checkpoint({}, 's3://bucket/a.pth')

    assert called == [({}, 's3://bucket/a.pth', None, None)]


@pytest.mark.parametrize('options', [{'file_client_args': {'backend': 'disk'}}, {}])
def test_local_clients_are_served(tmp_path, options):
    mmengine.runner.save_checkpoint({'a': 1}, str(tmp_path / 'a.pth'), **options)

    assert read(tmp_path / 'a.pth') == {'a': 1}


def test_what_cannot_be_pickled_leaves_the_file_before_it(tmp_path):
    write_checkpoint({'a': 1}, tmp_path / 'a.pth')

    with pytest.raises(Exception, match='lambda'):
        write_checkpoint({'a': lambda: 1}, tmp_path / 'a.pth')

    assert names(tmp_path) == ['a.pth']
    assert read(tmp_path / 'a.pth') == {'a': 1}


def test_a_folder_in_its_place_is_answered_by_a_sentence(tmp_path):
    (tmp_path / 'a.pth').mkdir()

    with pytest.raises(
        UserError, match=r'a\.pth cannot be written \(Is a directory; .* GiB are free'
    ):
        write_checkpoint({'a': 1}, tmp_path / 'a.pth')

    assert names(tmp_path) == ['a.pth']


def test_a_file_that_is_shorter_than_what_was_written_is_refused(tmp_path, monkeypatch):
    write_checkpoint({'a': 1}, tmp_path / 'a.pth')
    monkeypatch.setattr(atomic_saving._Sink, '_try', lambda sink, action: None)

    with pytest.raises(UserError, match=r'a\.pth cannot be written \(0 of \d+ bytes are there'):
        write_checkpoint({'a': 2}, tmp_path / 'a.pth')

    assert names(tmp_path) == ['a.pth']
    assert read(tmp_path / 'a.pth') == {'a': 1}


def test_a_file_whose_directory_is_damaged_is_refused(tmp_path, monkeypatch):
    write = atomic_saving._Sink.write

    def damage(sink, data):
        return write(sink, bytes(data).replace(b'PK\x05\x06', b'PK\x00\x00'))

    monkeypatch.setattr(atomic_saving._Sink, 'write', damage)

    with pytest.raises(UserError, match=r'a\.pth cannot be written'):
        write_checkpoint({'a': 2}, tmp_path / 'a.pth')

    assert names(tmp_path) == []


def test_what_the_disk_says_while_more_is_written_is_not_lost(tmp_path, monkeypatch):
    write_checkpoint({'a': 1}, tmp_path / 'a.pth')
    fsync = os.fsync

    def fail_at_first(number):
        # The system tells an error of a file once.
        if threading.current_thread() is not threading.main_thread():
            raise OSError(errno.EIO, 'the disk is broken')
        fsync(number)

    monkeypatch.setattr(atomic_saving, '_FLUSHED', 1000)
    monkeypatch.setattr(atomic_saving.os, 'fsync', fail_at_first)
    with pytest.raises(UserError, match='the disk is broken'):
        write_checkpoint({'a': torch.ones(1000)}, tmp_path / 'a.pth')

    assert read(tmp_path / 'a.pth') == {'a': 1}
    assert names(tmp_path) == ['a.pth']


def test_what_killed_runs_left_is_removed_and_what_others_write_is_not(tmp_path):
    (tmp_path / f'.epoch_1.pth.0{PART}').write_text('left')
    (tmp_path / '.epoch_1.pth.tmp').write_text('not ours')
    (tmp_path / f'.epoch_2.pth.0{PART}').write_text('under way')

    with (tmp_path / f'.epoch_2.pth.0{PART}').open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_checkpoint({'a': 1}, tmp_path / 'a.pth')

    assert names(tmp_path) == ['.epoch_1.pth.tmp', f'.epoch_2.pth.0{PART}', 'a.pth']


def test_a_limit_of_the_file_size_keeps_the_file_before_it(tmp_path):
    write_checkpoint({'a': 1}, tmp_path / 'a.pth')

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        with pytest.raises(UserError, match='File too large; .* make room there'):
            write_checkpoint({'a': torch.zeros(100_000)}, tmp_path / 'a.pth')
        assert names(tmp_path) == ['a.pth']

    assert run_apart(limited) == 0
    assert read(tmp_path / 'a.pth') == {'a': 1}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB, where this user may mount one."""
    command = ['mount', '-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', str(tmp_path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip('this user may not mount a file system')
    yield tmp_path
    subprocess.run(['umount', '--lazy', str(tmp_path)], check=True)


class FillDisk(Hook):
    """Leaves no room after the first epoch."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            wait_for_writes()
            full = pytest.raises(OSError, match='No space left')
            with full, (Path(runner.work_dir) / 'filler').open('wb', buffering=0) as file:
                while True:
                    file.write(bytes(4096))


@pytest.mark.parametrize('asynchronous', [False, True])
def test_a_full_disk_ends_the_run_and_the_last_checkpoint_is_resumed(small_disk, asynchronous):
    hook = dict(max_keep_ckpts=1, asynchronous=asynchronous)

    with pytest.raises(UserError, match=r'epoch_2\.pth cannot be written \(No space left'):
        tiny_runner(small_disk, hook, [FillDisk()]).train()

    assert choose_checkpoint(small_disk).checkpoint == small_disk / 'epoch_1.pth'
    (small_disk / 'filler').unlink()
    tiny_runner(small_disk, hook, resume=True, load_from=None).train()
    assert [path.name for path in small_disk.glob('*.pth')] == ['epoch_3.pth']


@pytest.mark.parametrize(('place', 'text'), [('run', 'a.pth'), ('other/run', '../other/run/a.pth')])
def test_the_record_can_be_moved_with_the_checkpoint(tmp_path, place, text):
    before, after = tmp_path / 'before', tmp_path / 'after'
    write_checkpoint({'a': 1}, before / place / 'a.pth')
    record_checkpoint(before / 'run', str(before / place / 'a.pth'))

    before.rename(after)

    assert (after / 'run' / 'last_checkpoint').read_text() == text
    assert latest_checkpoint(after / 'run').resolve() == after / place / 'a.pth'


def test_the_record_of_a_folder_behind_a_link_leads_to_the_checkpoint(tmp_path):
    (tmp_path / 'large' / 'deep' / 'work_dirs' / 'run').mkdir(parents=True)
    (tmp_path / 'work_dirs').symlink_to(tmp_path / 'large' / 'deep' / 'work_dirs')
    checkpoint = tmp_path / 'checkpoints' / 'run' / 'a.pth'
    write_checkpoint({'a': 1}, checkpoint)

    record_checkpoint(tmp_path / 'work_dirs' / 'run', str(checkpoint))

    assert latest_checkpoint(tmp_path / 'work_dirs' / 'run').resolve() == checkpoint


def test_a_record_that_cannot_be_written_is_kept(tmp_path, monkeypatch):
    write_checkpoint({'a': 1}, tmp_path / 'a.pth')
    record_checkpoint(tmp_path, str(tmp_path / 'a.pth'))

    def fail(source, target):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(atomic_saving.os, 'replace', fail)
    with pytest.raises(UserError, match='last_checkpoint cannot be written .* let this user write'):
        record_checkpoint(tmp_path, str(tmp_path / 'b.pth'))

    assert latest_checkpoint(tmp_path) == tmp_path / 'a.pth'
    assert names(tmp_path) == ['a.pth', 'last_checkpoint']
