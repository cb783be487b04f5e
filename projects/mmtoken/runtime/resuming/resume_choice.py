"""Go on from the newest checkpoint that can be read.

The record names the newest one. Where that is damaged or gone, the run goes on from the one before
it, and says so; mmengine would end in an error of the zip format. Our design.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import mmengine.runner._flexible_runner
import mmengine.runner.runner
import torch
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.runner.checkpoint import find_latest_checkpoint as mmengine_find

from mmtoken.errors import UserError
from mmtoken.runtime.refused_globals import refused_globals
from mmtoken.runtime.resuming.checkpoints import (
    RECORD,
    latest_checkpoint,
    meant_by,
    recorded_text,
)
from mmtoken.runtime.safe_loading import load_from_file, the_cause
from mmtoken.runtime.saving.atomic_saving import replace_everywhere
from mmtoken.runtime.saving.background_writer import wait_for_writes


@dataclass(frozen=True)
class Choice:
    """What a run goes on from.

    Args:
        checkpoint: A file, the folder of the files of several processes, or an address.
        passed_over: Newer ones that cannot be read, and why.
    """

    checkpoint: Path | str
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = ''.join(f'{bad}; ' for bad in self.passed_over)
        return f'resume: {found}training goes on from {self.checkpoint}'


@dataclass(frozen=True, order=True)
class _Progress:
    """How far the run of a checkpoint was; of two the greater one is to go on from."""

    optimizer: bool
    iter: int


class _Unreadable(Exception):
    """Why a checkpoint cannot be gone on from."""


def choose_checkpoint(work_dir: Path, thorough: bool = True) -> Choice | None:
    """Find the newest checkpoint of a folder that a run can go on from.

    Args:
        work_dir: The run's folder.
        thorough: Whether every byte of the one that is taken is read, and compared with the sum
            that torch wrote beside it. Otherwise it is enough that it is complete.

    Returns:
        It, or None where no run has saved any. One on another machine is taken unread.

    Raises:
        UserError: If one was recorded and none can be read.
    """
    wait_for_writes()
    text = recorded_text(work_dir)
    passed_over: list[str] = []
    recorded = gone = None
    try:
        recorded = latest_checkpoint(work_dir)
    except UserError as error:
        gone = error
        passed_over.append(f'{text} is gone')
    if isinstance(recorded, str):
        return Choice(recorded)
    if recorded is not None:
        try:
            _progress(recorded, thorough)
            return Choice(recorded)
        except _Unreadable as error:
            passed_over.append(f'{recorded.name} cannot be resumed ({error})')
    bad = list(passed_over)
    for path in _others(work_dir, recorded, text, bad):
        try:
            _progress(path, thorough)
            return Choice(path, tuple(passed_over))
        except _Unreadable as error:
            bad.append(f'{path.name} cannot be resumed ({error})')
    if not text:
        return None
    if gone is not None and len(bad) == 1:
        raise gone
    raise UserError(
        f'{work_dir} has no checkpoint to go on from: {"; ".join(bad)}; name another one with '
        f'--resume PATH, or delete {work_dir / RECORD} to start from the beginning'
    )


def install_resume_choice() -> None:
    """Have mmengine's runners, and whoever took the function from it, look by these functions."""
    replace_everywhere(mmengine_find, find_latest_checkpoint)
    # Called by all processes alike, which other callers of the function may not be.
    for module in (mmengine.runner.runner, mmengine.runner._flexible_runner):
        module.find_latest_checkpoint = find_together


def find_latest_checkpoint(path: str) -> str | None:
    """Find what a run goes on from; the signature is that of mmengine's function.

    Args:
        path: The run's folder.

    Returns:
        The checkpoint, or None where no run has saved any.

    Raises:
        UserError: If one was recorded and none can be read.
    """
    choice = choose_checkpoint(Path(path))
    print_log(str(choice) if choice else f'resume: no checkpoint in {path}', 'current')
    return None if choice is None else str(choice.checkpoint)


def find_together(path: str) -> str | None:
    """The same for several processes: the first one looks, and all get what it found."""
    found: list[str | UserError | None] = [None]
    if is_main_process():
        try:
            found = [find_latest_checkpoint(path)]
        except UserError as error:
            found = [error]
    if get_world_size() > 1:
        broadcast_object_list(found)
    if isinstance(found[0], UserError):
        raise found[0]
    return found[0]


def _others(work_dir: Path, recorded: Path | None, text: str, bad: list[str]) -> Iterator[Path]:
    """The checkpoints of a run beside the recorded one, the newest first."""
    known, taken = {}, recorded and recorded.resolve()
    # Where the recorded one is gone, it may have been in any of the folders that may be meant.
    places = [recorded] if recorded else list(meant_by(text, work_dir)) if text else []
    folders = {path.resolve(): path for path in (*(place.parent for place in places), work_dir)}
    suffix = Path(text).suffix or '.pth'
    for path in sorted(
        path for folder in folders.values() for path in folder.glob(f'[!.]*{suffix}')
    ):
        # A best one has no optimizer to go on with.
        if path.resolve() != taken and not path.name.startswith('best_'):
            try:
                known[path] = _progress(path, thorough=False)
            except _Unreadable as error:
                bad.append(f'{path.name} cannot be resumed ({error})')
    yield from sorted(known, key=known.get, reverse=True)


def _progress(path: Path, thorough: bool) -> _Progress:
    """Read how far the run of a checkpoint was.

    Raises:
        _Unreadable: If it cannot be gone on from.
    """
    if path.is_dir():  # One file of each process.
        files = sorted(path.glob('rank*.pth'))
        wanted = {f'rank{rank}.pth' for rank in range(max(len(files), get_world_size()))}
        if missing := sorted(wanted - {file.name for file in files}):
            raise _Unreadable(f'{missing[0]} is not in it')
        return min(_progress(file, thorough) for file in files)
    try:
        is_zip = zipfile.is_zipfile(path)
        if is_zip and thorough and torch.serialization.get_crc32_options():
            with zipfile.ZipFile(path) as archive:
                if wrong := archive.testzip():
                    raise _Unreadable(f'{wrong} in it is not what was written')
        # Without its numbers; files of before torch 1.6 have to be read.
        checkpoint = load_from_file(str(path), map_location='meta' if is_zip else 'cpu')
    except _Unreadable:
        raise
    except Exception as error:  # Damaged files are answered with whatever breaks first.
        cause = error.__cause__ if isinstance(error, UserError) else None
        refused = refused_globals(path) if isinstance(cause, UnpicklingError) else []
        if refused:
            raise _Unreadable(
                f'it asks for {", ".join(refused)}, refused without --trust-checkpoint'
            ) from error
        raise _Unreadable(the_cause(cause or error)) from error
    return _progress_of(checkpoint)


def _progress_of(checkpoint: object) -> _Progress:
    """How far the run was whose checkpoint this is."""
    parts = checkpoint if isinstance(checkpoint, dict) else {}
    for name in ('meta', 'state_dict', 'message_hub'):
        if not isinstance(parts.get(name), dict):
            raise _Unreadable(f'it has no {name}')
    if not all(isinstance(parts['meta'].get(name), int) for name in ('epoch', 'iter')):
        raise _Unreadable('its meta has no epoch and iter')
    return _Progress('optimizer' in parts, parts['meta']['iter'])
