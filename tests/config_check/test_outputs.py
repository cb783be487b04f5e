"""Folders that a run is to write to."""

import errno
from pathlib import Path

import pytest

from mmtoken.config_check.outputs import check_folder
from mmtoken.errors import UserError


def test_a_folder_that_is_not_there_is_made(tmp_path):
    check_folder('work_dir', str(tmp_path / 'a' / 'b'))

    assert (tmp_path / 'a' / 'b').is_dir()
    assert list((tmp_path / 'a' / 'b').iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / 'notes.txt').touch()

    with pytest.raises(UserError, match=r"work_dir '.*notes.txt/run' cannot be written to: Not a"):
        check_folder('work_dir', str(tmp_path / 'notes.txt' / 'run'))


def test_a_file_system_without_room_for_a_file_is_refused(tmp_path, monkeypatch):
    # Even root cannot write to one that is mounted read-only.
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, 'Read-only file system')

    monkeypatch.setattr('tempfile.TemporaryFile', refuse)

    with pytest.raises(UserError, match='--out .* cannot be written to: Read-only file system'):
        check_folder('--out', str(tmp_path))


def test_an_address_is_left_to_the_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    check_folder('work_dir', 's3://bucket/run')

    assert list(Path().iterdir()) == []
