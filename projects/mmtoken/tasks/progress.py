"""What a user sees while tasks run: a bar for each, one for all, and the time left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from rich import progress as bars
from rich.console import Console

PLAIN_SECONDS = 30.0


@dataclass(frozen=True)
class TaskState:
    """How far a task is.

    Args:
        name: The task's name.
        weight: Expected cost, relative to the other tasks.
        fraction: Share that is done, 0 to 1.
        seconds: Time spent on it so far, earlier sessions included.
        step: The step it is in; empty unless it is running.
        gained: Share that was done in this session.
        spent: Time spent on it in this session.
    """

    name: str
    weight: float
    fraction: float = 0.0
    seconds: float = 0.0
    step: str = ''
    gained: float = 0.0
    spent: float = 0.0


def seconds_left(states: Sequence[TaskState], workers: int = 1) -> float | None:
    """Time until all tasks are done, at the pace of this session.

    Earlier sessions may have run on a busy machine, or lost what they did to an interruption, so
    theirs counts only until there is another one, and only that of finished tasks.

    Args:
        states: All tasks, finished ones included.
        workers: Tasks that run side by side.

    Returns:
        Seconds, or None before anything was measured.
    """
    measured = [(state.spent, state.weight * state.gained) for state in states if state.gained > 0]
    measured = measured or [(state.seconds, state.weight) for state in states if _is_done(state)]
    done = sum(work for _, work in measured)
    if done == 0:
        return None
    pace = sum(seconds for seconds, _ in measured) / done
    left = [state.weight * (1 - state.fraction) for state in states if state.fraction < 1]
    return pace * sum(left) / max(1, min(workers, len(left)))


def clock(seconds: float | None) -> str:
    """``h:mm:ss``, or ``-:--:--`` where the time is unknown."""
    return '-:--:--' if seconds is None else str(timedelta(seconds=round(seconds)))


def _is_done(state: TaskState) -> bool:
    # A task whose last log line says 100 % may still be saving what it found.
    return state.fraction >= 1 and not state.step


class Progress:
    """Shows task states: live bars on a terminal, a line now and then elsewhere.

    Args:
        workers: Tasks that run side by side.
        console: Where to write; the standard output by default.
    """

    def __init__(self, workers: int = 1, console: Console | None = None) -> None:
        self.workers, self.console = workers, console or Console()
        self.bars = bars.Progress(
            bars.TextColumn('{task.description}'),
            bars.BarColumn(bar_width=30),
            bars.TaskProgressColumn(),
            bars.TextColumn('{task.fields[clock]}'),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.rows: dict[str, bars.TaskID] = {}
        self.finished: set[str] | None = None
        self.last_line = float('-inf')

    def __enter__(self) -> 'Progress':
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def show(self, states: Sequence[TaskState]) -> None:
        """Show where things stand.

        Args:
            states: All tasks, finished ones included.
        """
        running = {state.name: state for state in states if state.step}
        self._tell_finished(states)
        total = sum(state.weight for state in states)
        share = sum(state.weight * state.fraction for state in states) / total if total else 1.0
        left = f'{clock(seconds_left(states, self.workers))} left'
        title = f'all ({sum(_is_done(state) for state in states)} of {len(states)} done)'
        if not self.console.is_terminal:
            if running and time.monotonic() - self.last_line >= PLAIN_SECONDS:
                self.last_line = time.monotonic()
                parts = [f'{s.name} {s.step} {s.fraction:.0%}' for s in running.values()]
                self._print(f'{title}, {left}: ' + '; '.join(parts))
            return
        for name in self.rows.keys() - running.keys() - {''}:
            self.bars.remove_task(self.rows.pop(name))
        for name, state in running.items():
            self._row(name, f'{name} {state.step}', state.fraction, clock(state.seconds))
        if '' in self.rows:  # the sum stays below the tasks
            self.bars.remove_task(self.rows.pop(''))
        self._row('', title, share, left)

    def _row(self, name: str, title: str, fraction: float, text: str) -> None:
        if name not in self.rows:
            self.rows[name] = self.bars.add_task(title, total=1.0, clock=text)
        self.bars.update(self.rows[name], description=title, completed=fraction, clock=text)

    def _tell_finished(self, states: Sequence[TaskState]) -> None:
        done = {state.name: state for state in states if _is_done(state)}
        if self.finished is None and done:
            self._print(f'finished earlier: {len(done)} of {len(states)}')
        elif self.finished is not None:
            for name in [name for name in done if name not in self.finished]:
                self._print(f'finished {name} in {clock(done[name].seconds)}')
        self.finished = set(done)

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)
