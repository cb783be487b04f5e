"""Checkpoint files that are whole or not there.

mmengine writes a checkpoint straight to its final name: what is there is gone when the new one
breaks off. Here a file is written beside its place, flushed to the disk, verified and then
renamed. `import mmtoken` has the whole process save so, and our own hook takes what a runner saves
(:func:`collect_saves`) to write it when and in the order that it wants. Our design.
"""

import errno
import logging
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from mmengine.fileio import FileClient, LocalBackend, get_file_backend
from mmengine.logging import print_log
from mmengine.runner.checkpoint import save_checkpoint as mmengine_save_checkpoint

from mmtoken.errors import UserError
from mmtoken.runtime.checkpoint_types import why_unreadable
from mmtoken.runtime.saving.atomic_files import remove_leftovers, replacing

# Bytes that the disk is given at a time while more are written.
_FLUSHED = 2**25
_collected: dict[Path, Any] | None = None
# Folders whose checkpoints are known to be read back, or told not to be.
_looked_at: set[Path] = set()


def install_atomic_saving() -> None:
    """Have mmengine, and whoever took the function from it, save by :func:`save_checkpoint`."""
    replace_everywhere(mmengine_save_checkpoint, save_checkpoint)


def replace_everywhere(old: Any, new: Any) -> None:
    """Replace a function in every module that has it under its name.

    Args:
        old: The function.
        new: What takes its place.
    """
    for module in list(sys.modules.values()):
        # The function's own name here is that of the original to go on with.
        if module is not sys.modules[new.__module__] and (
            getattr(module, '__dict__', {}).get(old.__name__) is old
        ):
            setattr(module, old.__name__, new)


def save_checkpoint(
    checkpoint: dict,
    filename: str,
    file_client_args: dict | None = None,
    backend_args: dict | None = None,
) -> None:
    """Save a checkpoint; the signature is that of mmengine's function.

    Args:
        checkpoint: What to save.
        filename: The file. What is not on this machine's file systems goes on to mmengine.
        file_client_args: Arguments of mmengine's client of old.
        backend_args: Arguments of mmengine's file backend.

    Raises:
        UserError: If the file cannot be written; what was there before is kept.
    """
    if not is_local(str(filename), file_client_args, backend_args):
        try:
            mmengine_save_checkpoint(checkpoint, filename, file_client_args, backend_args)
        except Exception as error:  # Each client has errors of its own.
            raise UserError(
                f'{filename} cannot be written ({type(error).__name__}: {error}); when it can '
                'again, or with another out_dir, go on with --resume'
            ) from error
    elif _collected is not None:
        _collected[Path(filename)] = checkpoint
    else:
        write_checkpoint(checkpoint, Path(filename))


@contextmanager
def collect_saves() -> Iterator[dict[Path, Any]]:
    """Take what is saved within, by its path, in place of writing it."""
    global _collected
    before, _collected = _collected, {}
    try:
        yield _collected
    finally:
        _collected = before


def write_checkpoint(checkpoint: Any, path: Path) -> None:
    """Write a checkpoint to a local file, and remove what killed runs left half written beside it.

    Args:
        checkpoint: What to save.
        path: The file.

    Raises:
        UserError: If it cannot be written; what was there before is kept.
    """
    with replacing(path) as file:
        remove_leftovers(path.parent)
        sink = _Sink(file)
        try:
            torch.save(checkpoint, sink)
        finally:
            sink.finish()
        sink.check()
        _verify(file, sink.size)
    _tell_if_refused(path)


class _Sink:
    """What torch writes to. An error is kept: thrown through torch's C++ it would end Python.

    While the rest is made, a thread has the disk take what is there.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = 0
        self.error: OSError | None = None
        self._flushed = 0
        self._flushing: threading.Thread | None = None

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.size += size
        self._try(lambda: self.file.write(data))
        if self.size - self._flushed >= _FLUSHED and not self._is_flushing():
            self._flushed = self.size
            thread = threading.Thread(
                target=self._try, args=(lambda: os.fsync(self.file.fileno()),), name='flush'
            )
            with suppress(RuntimeError):  # No more threads: the file is flushed at its end.
                thread.start()
                self._flushing = thread
        return size

    def flush(self) -> None:
        self._try(self.file.flush)

    def finish(self) -> None:
        """Wait for the disk, before the file is closed."""
        if self._flushing is not None:
            self._flushing.join()

    def check(self) -> None:
        """Raise the first error."""
        if self.error is not None:
            raise self.error

    def _is_flushing(self) -> bool:
        return self._flushing is not None and self._flushing.is_alive()

    def _try(self, action: Any) -> None:
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error


def _verify(file: BinaryIO, written: int) -> None:
    """Check that the file is as long as what was written, and its directory complete.

    Raises:
        OSError: If it is not.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file.name) as archive:
            complete = any(name.endswith('/data.pkl') for name in archive.namelist())
    except zipfile.BadZipFile:
        complete = False
    if size != written or not complete:
        raise OSError(errno.EIO, f'{size} of {written} bytes are there')


def _tell_if_refused(path: Path) -> None:
    """Say of the first checkpoint of a folder that our own loader will not read it."""
    if path.parent in _looked_at:
        return
    _looked_at.add(path.parent)
    reason = why_unreadable(path)
    if reason is not None:
        print_log(
            f'{path} is saved, but a resumed run will not read it ({reason}): of a checkpoint only '
            'weights and plain data are read; keep such things out of the message hub, of metainfo '
            'and of what hooks save (numbers, texts, lists, dicts and arrays of numbers are read), '
            'or resume with --trust-checkpoint',
            'current',
            logging.WARNING,
        )


def is_local(filename: str, file_client_args: dict | None, backend_args: dict | None) -> bool:
    """Whether something is on this machine's file systems.

    Args:
        filename: A file or folder.
        file_client_args: As of :func:`save_checkpoint`.
        backend_args: As well.
    """
    if '://' in filename:
        return False
    if file_client_args is not None:
        client = FileClient.infer_client(file_client_args, filename)
        return isinstance(client.client, LocalBackend)
    return isinstance(get_file_backend(filename, backend_args=backend_args), LocalBackend)
