"""Checkpoints on another machine: what works there works, and the rest is said."""

import pytest
from mmengine.fileio import FileClient
from mmengine.fileio.backends import BaseStorageBackend, backends, prefix_to_backends
from tiny_run import run_two, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint

OUT = 's3://bucket'


class Memory(BaseStorageBackend):
    """What `s3://` names, in this process."""

    files: dict[str, bytes] = {}
    full = False

    def put(self, content, path):
        if self.full:
            raise ConnectionError('the bucket is full')
        self.files[path] = content

    def get(self, path):
        return self.files[path]

    def get_text(self, path):
        return self.files[path].decode()

    def exists(self, path):
        return path in self.files

    isfile = exists

    def isdir(self, path):
        return False

    def remove(self, path):
        del self.files[path]

    def join_path(self, first, *others):
        return '/'.join([first.rstrip('/'), *others])


@pytest.fixture(autouse=True)
def bucket(monkeypatch) -> dict[str, bytes]:
    """The files there."""
    monkeypatch.setattr(Memory, 'files', {})
    monkeypatch.setitem(backends, 'petrel', Memory)
    monkeypatch.setitem(prefix_to_backends, 's3', Memory)
    monkeypatch.setitem(FileClient._prefix_to_backends, 's3', Memory)
    return Memory.files


def test_a_run_goes_on_from_there(bucket, tmp_path):
    hook = dict(out_dir=OUT, max_keep_ckpts=1)
    tiny_runner(tmp_path / 'run', hook, epochs=2).train()
    assert choose_checkpoint(tmp_path / 'run').checkpoint == f'{OUT}/run/epoch_2.pth'

    runner = tiny_runner(tmp_path / 'run', hook, epochs=3, resume=True)
    runner.train()

    assert runner.iter == 12
    assert list(bucket) == [f'{OUT}/run/epoch_3.pth']


@pytest.mark.parametrize('option', ['asynchronous', 'safetensors'])
def test_what_has_no_effect_there_is_refused(option, tmp_path):
    runner = tiny_runner(tmp_path, {'out_dir': OUT, option: True})

    with pytest.raises(UserError, match=f"out_dir 's3://bucket' is .* for which {option}=True"):
        runner.train()


def test_two_processes_end_when_the_first_cannot_write_there(monkeypatch, tmp_path):
    def work(rank):
        Memory.full = rank == 0
        with pytest.raises(
            UserError, match=r'epoch_1.pth cannot be written \(ConnectionError: the'
        ):
            tiny_runner(tmp_path / 'run', dict(out_dir=OUT)).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
    assert not (tmp_path / 'run' / 'last_checkpoint').exists()
