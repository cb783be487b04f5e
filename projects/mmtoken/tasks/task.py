"""Tasks of one or more commands, each with a folder that says what was asked and what came out.

What was asked of a :class:`Task` (its identity and the digests of its input files) stands in
``started.json``, what came out in ``finished.json``; a finished task is skipped, an interrupted one
goes on, and one of which something else is asked now starts from nothing. Our design.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError

_LOG_TAIL_BYTES = 1 << 16
# 'Epoch(train)  [3][ 50/188]', 'Iter(train) [  50/2000]', 'Epoch(test) [ 50/300]'
_PROGRESS = re.compile(r'(?:Epoch|Iter)\((?:train|test)\)\s*(?:\[\s*(\d+)\])?\[\s*(\d+)/(\d+)\]')


@dataclass(frozen=True)
class Step:
    """One command of a task.

    Args:
        name: Names the log, ``<task folder>/<name>.log``.
        argv: Makes the command line when the step's turn comes, so that it can name what the
            steps before it wrote.
        weight: Expected cost relative to the other steps; only the shown progress uses it.
        epochs: Epochs of an epoch-based training, which its log does not state.
    """

    name: str
    argv: Callable[[], Sequence[str]]
    weight: float = 1.0
    epochs: int = 1


@dataclass(frozen=True)
class Task:
    """A sequence of commands with a folder of its own.

    Args:
        name: Shown, and referred to by the ``needs`` of other tasks.
        folder: Holds the logs and stamps; belongs to this task alone.
        steps: The commands, in order.
        identity: Everything the result depends on, as JSON; a change discards what is there.
        inputs: Files whose content belongs to the identity; they exist once ``needs`` are done.
        outputs: Files without which the task does not count as finished.
        needs: Names of the tasks that must be finished before this one starts.
        finish: Called after the last command; its dict is added to ``finished.json``.
    """

    name: str
    folder: Path
    steps: Sequence[Step]
    identity: dict[str, Any] = field(default_factory=dict)
    inputs: Sequence[Path] = ()
    outputs: Sequence[Path] = ()
    needs: Sequence[str] = ()
    finish: Callable[[], dict[str, Any]] = dict

    @property
    def weight(self) -> float:
        """Sum of the steps' weights."""
        return sum(step.weight for step in self.steps)

    def result(self, inputs_gone: bool = False) -> dict[str, Any] | None:
        """What ``finished.json`` holds, or None if it is not there or answers another question.

        Args:
            inputs_gone: Whether an input that is not there any more counts as unchanged.
        """
        stamp = _read_json(self.folder / 'finished.json')
        if stamp is None or not all(path.exists() for path in self.outputs):
            return None
        question = self.question()
        if inputs_gone:
            found = {path: digest for path, digest in question['inputs'].items() if digest}
            question['inputs'] = stamp['question']['inputs'] | found
        return stamp if stamp['question'] == question else None

    def question(self) -> dict[str, Any]:
        """Identity and input digests, as they read after a round trip through JSON."""
        digests = {str(path): file_digest(path) for path in self.inputs}
        return json.loads(json.dumps({'identity': self.identity, 'inputs': digests}))


def folder_name(text: str) -> str:
    """A text as a folder is named after it: lower letters, digits, and one sign for others."""
    return re.sub(r'[^\w.+-]+', '-', text.lower())


def folders_differ(names: Sequence[Any]) -> bool:
    """Whether there are names, none empty, and each has a folder of its own."""
    folders = {folder_name(str(name)) for name in names}
    return 0 < len(names) == len(folders) and '' not in folders


def file_digest(path: Path) -> str | None:
    """First 16 hexadecimal digits of a file's SHA-256, None where there is no such file."""
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def text_digest(text: str) -> str:
    """First 16 hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def log_fraction(log: Path, epochs: int = 1) -> float:
    """How much of a mmengine run its log shows to be done.

    Args:
        log: The log; may be missing or empty.
        epochs: Epochs of an epoch-based run.

    Returns:
        A number between 0 and 1, from the last progress line.
    """
    if not log.exists():
        return 0.0
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = _PROGRESS.findall(file.read().decode(errors='replace'))
    if not lines:
        return 0.0
    epoch, done, total = lines[-1]
    fraction = int(done) / max(int(total), 1)
    return min(1.0, (int(epoch) - 1 + fraction) / epochs if epoch else fraction)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is never seen half-written.

    Args:
        path: The file; its folder must exist.
        content: Anything ``json.dumps`` takes.
    """
    part = path.with_name(path.name + '.part')
    part.write_text(json.dumps(content, indent=2) + '\n')
    part.replace(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def open_folder(task: Task) -> dict[str, Any]:
    """Make the task's folder ready, keeping what an interrupted run of the same question left.

    Args:
        task: A task that is not finished.

    Returns:
        The content of ``started.json``: question, seconds spent so far, steps done.

    Raises:
        UserError: If the folder holds files that no task wrote.
    """
    folder, question = task.folder, task.question()
    record = _read_json(folder / 'started.json')
    if record is None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f'the folder {folder} of {task.name} holds files '
            'that no earlier run of this tool wrote; remove it or choose another folder'
        )
    same = record is not None and record['question'] == question
    if same and not (folder / 'finished.json').exists():
        # Killed between the last command and its stamp: only that command is repeated.
        record['steps_done'] = min(record['steps_done'], len(task.steps) - 1)
        return record
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record = {'question': question, 'seconds': 0.0, 'steps_done': 0}
    write_json(folder / 'started.json', record)
    return record
