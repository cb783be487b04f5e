"""Which checkpoint a run recorded last, and whether this machine can train as the config asks."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from mmtoken.errors import UserError
from mmtoken.runtime.saving.atomic_files import replacing

RECORD = 'last_checkpoint'


def latest_checkpoint(work_dir: Path) -> Path | str | None:
    """Find the checkpoint that a run recorded last.

    We record its path from the folder. mmengine records an absolute one, which is wrong once the
    folder was moved or mounted elsewhere; the file of the same name in the folder is then the one.

    Args:
        work_dir: The run's folder.

    Returns:
        The checkpoint, an address where it is on another machine, or None where none was recorded.

    Raises:
        UserError: If the recorded checkpoint is gone.
    """
    text = recorded_text(work_dir)
    if not text or is_address(text):
        return text or None
    for path in meant_by(text, work_dir):
        if path.exists():
            return path
    raise UserError(
        f'{work_dir / RECORD} names the checkpoint {text!r}, which does not exist; '
        'name another one with --resume PATH, or delete the record to start from the beginning'
    )


def has_checkpoint(work_dir: Path) -> bool:
    """Whether a run has left something in its folder that it may go on from.

    Args:
        work_dir: The folder.
    """
    return bool(recorded_text(work_dir)) or any(work_dir.glob('*.pth'))


def named_checkpoints(work_dir: Path, resume: str | None) -> list[str]:
    """The files that a run is told to go on from.

    Args:
        work_dir: The run's folder.
        resume: A path or an address, ``'auto'`` or ``'must'`` for the recorded one, or None.

    Returns:
        One, those of each process where it is a folder, or none where it is gone.
    """
    checkpoint: Path | str | None = resume
    if resume in ('auto', 'must'):
        checkpoint = None
        with suppress(UserError):
            checkpoint = latest_checkpoint(work_dir)
    if not checkpoint:
        return []
    parts = [] if is_address(str(checkpoint)) else sorted(Path(checkpoint).glob('rank*.pth'))
    return [str(part) for part in parts or [checkpoint]]


def recorded_text(work_dir: Path) -> str:
    """What a run recorded as its last checkpoint, or nothing."""
    record = work_dir / RECORD
    return record.read_text(errors='replace').strip() if record.is_file() else ''


def record_checkpoint(work_dir: Path, checkpoint: str) -> None:
    """Record the checkpoint to go on from.

    Args:
        work_dir: The run's folder.
        checkpoint: Its path, which is recorded from there, so that both can be moved together, or
            an address.

    Raises:
        UserError: If the record cannot be written; the one before is kept.
    """
    text = checkpoint
    if not is_address(checkpoint):
        # Of the folders as they are: the way up from what a link leads to is another one.
        text = os.path.relpath(os.path.realpath(checkpoint), os.path.realpath(work_dir))
    with replacing(work_dir / RECORD) as file:
        file.write(text.encode())


def is_address(text: str) -> bool:
    """Whether something is on another machine, where a library has to look for it."""
    return '://' in text


def meant_by(text: str, work_dir: Path) -> Iterator[Path]:
    """What a record may mean, the likeliest first.

    Args:
        text: What was recorded.
        work_dir: The run's folder.
    """
    yield work_dir / text
    if Path(text).name != text:  # As mmengine records where a relative `out_dir` was given.
        yield Path(text)
    yield work_dir / Path(text).name


def check_device_for_amp(cfg: Config) -> None:
    """Refuse mixed-precision training where mmengine has no device for it.

    Args:
        cfg: The config.

    Raises:
        UserError: If the optimizer wrapper is the mixed-precision one and only a CPU is there.
    """
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') == 'AmpOptimWrapper' and get_device() in ('cpu', 'mps'):
        raise UserError(
            f'mixed-precision training (AmpOptimWrapper) does not work on {get_device()!r}; '
            'leave out --amp, or set optim_wrapper.type=OptimWrapper with --cfg-options'
        )
