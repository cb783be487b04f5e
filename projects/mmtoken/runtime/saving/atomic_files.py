"""Files that are whole or not there: written beside their place, flushed and then renamed.

Our design.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmtoken.errors import UserError

# What a file is called while it is written; the name says whose it is to the save that finds it.
PART = '.mmtoken-part'
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of another one when all of it is on the disk.

    Args:
        path: The place.

    Yields:
        The file to write to, which has another name until then.

    Raises:
        UserError: If it cannot be written; what was there before is kept.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open_part(path) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(_sentence(path, error)) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the files that killed runs left half written.

    Args:
        folder: Where; files that another process is writing there are left alone.
    """
    for part in folder.glob(f'.*{PART}'):
        with suppress(OSError), part.open('rb') as file:
            # Who writes it holds the lock, which ends with the process.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


@contextmanager
def _open_part(path: Path) -> Iterator[BinaryIO]:
    """Create the file to write to, locked for as long as it is open."""
    while True:
        # From the system's generator: Python's own belongs to the run.
        file = path.with_name(f'.{path.name}.{secrets.token_hex(4)}{PART}').open('xb')
        with suppress(OSError):  # A file system without locks; nobody removes it there.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()  # Taken for a leftover before it was locked.
    try:
        yield file
    finally:
        with suppress(OSError):  # A full disk, which flushing or writing has already reported.
            file.close()


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk, where the file system can."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)


def _sentence(path: Path, error: OSError) -> str:
    """What could not be written, and what to do."""
    there = next((folder for folder in path.parents if folder.is_dir()), Path())
    free = shutil.disk_usage(there).free / 2**30
    advice = 'make room there' if error.errno in _FULL else 'let this user write there'
    return (
        f'{path} cannot be written ({error.strerror or error}; {free:.1f} GiB are free in '
        f'{there}), and what was there before is kept; {advice} or choose another folder '
        'with --work-dir, and go on with --resume'
    )
