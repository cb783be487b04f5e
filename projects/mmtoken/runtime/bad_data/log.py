"""What workers write down of bad samples, and the main process reads."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mmtoken.runtime.bad_data.files import Fault


@dataclass(frozen=True)
class Record:
    """A bad sample, once.

    Args:
        loader: The loader's key in the config.
        sample: Which data set of the loader, and which sample of it.
        path: Its file.
        kind: As of :class:`Fault`.
        text: The same.
    """

    loader: str
    sample: str
    path: str
    kind: str
    text: str


class SampleLog:
    """A file that all workers of a process append to, each line by one write.

    Beside it a file grows by a byte with each sample that a pipeline left nothing of.

    Args:
        folder: Where they are; made with the first bad sample.
        rank: The process.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.path = folder / f'rank{rank}.jsonl'
        self._redrawn = folder / f'rank{rank}_redrawn'
        self._offset = 0

    def write(self, loader: str, sample: str, path: str, fault: Fault) -> None:
        """Write a bad sample down.

        Args:
            loader: As of :class:`Record`.
            sample: The same.
            path: The same.
            fault: What is wrong with it.
        """
        record = Record(loader, sample, path, fault.kind, fault.text)
        _append(self.path, json.dumps(asdict(record)).encode() + b'\n')

    def count_redrawn(self) -> None:
        """Count a sample of which the pipeline left nothing."""
        _append(self._redrawn, b'.')

    def read(self) -> list[Record]:
        """The bad samples that were written since the last call."""
        if _size(self.path) == self._offset:
            return []
        with open(self.path, 'rb') as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b'\n') + 1]
        self._offset += len(whole)
        return [Record(**json.loads(line)) for line in whole.splitlines()]

    def redrawn(self) -> int:
        """Samples so far of which the pipeline left nothing."""
        return _size(self._redrawn)


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
