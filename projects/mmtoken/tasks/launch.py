"""Run tasks as child processes: in order of need, side by side, stopped cleanly.

Our design; ``tools/misc/demo.py`` and ``tools/analysis_tools/study.py`` are built on it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError
from mmtoken.tasks.progress import Progress, TaskState
from mmtoken.tasks.task import Step, Task, log_fraction, open_folder, write_json

POLL_SECONDS = 0.5
GRACE_SECONDS = 10.0
# Of Linux's <sys/prctl.h>: the signal that a process gets when its parent has died.
_PR_SET_PDEATHSIG = 1


class TaskFailed(RuntimeError):
    """A child process ended with an error; the message names the task and its log."""


def cpu_count() -> int:
    """CPU cores this process may use."""
    affinity = getattr(os, 'sched_getaffinity', None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_tasks(
    tasks: Sequence[Task],
    workers: int = 1,
    check: Callable[[Task, dict[str, Any]], None] = lambda task, result: None,
) -> dict[str, dict[str, Any]]:
    """Run every task that is not finished, showing progress and the time left.

    Args:
        tasks: Each after the tasks it needs.
        workers: Tasks run side by side; each gets an equal share of the CPU cores, also while
            nothing runs beside it: small models gain nothing by a second thread (a step of the
            digit classifier takes 153 ms on one, 178 ms on two).
        check: Called with every finished task and its result; may raise to stop everything.

    Returns:
        The content of each task's ``finished.json``, by task name.

    Raises:
        ValueError: If a task needs one that does not stand before it, and would wait for ever.
        TaskFailed: If a command fails. Nothing new is started then; what runs is let finish.
        KeyboardInterrupt: On Ctrl-C or SIGTERM, after the children have ended.
    """
    _check_order(tasks)
    results: dict[str, dict[str, Any]] = {}
    states = {task.name: TaskState(task.name, task.weight) for task in tasks}
    pending, running, looked_at = list(tasks), [], set()
    failure: TaskFailed | None = None

    def settle(task: Task, result: dict[str, Any]) -> None:
        check(task, result)
        results[task.name] = result

    with _terminate_as_interrupt(), Progress(workers) as progress:
        try:
            while (pending and failure is None) or running:
                for task in list(pending):
                    if not set(task.needs) <= results.keys():
                        continue
                    # Looked at once, when its inputs are there: reading them takes a while.
                    if task.name not in looked_at and (result := task.result()) is not None:
                        pending.remove(task)
                        settle(task, result)
                        done = dict(fraction=1.0, seconds=result['seconds'])
                        states[task.name] = replace(states[task.name], **done)
                    elif len(running) < workers and failure is None:
                        pending.remove(task)
                        running.append(_Running(task, max(1, cpu_count() // workers)))
                    looked_at.add(task.name)
                for run in list(running):
                    try:
                        result = run.poll()
                    except TaskFailed as error:
                        failure = failure or error
                        running.remove(run)
                        states[run.task.name] = replace(run.state(), step='')
                        continue
                    states[run.task.name] = run.state()
                    if result is not None:
                        running.remove(run)
                        settle(run.task, result)
                progress.show(list(states.values()))
                if running:
                    time.sleep(POLL_SECONDS)
        finally:
            for run in running:
                run.stop()
    if failure is not None:
        raise failure
    return results


def run_from_command_line(
    tasks: Sequence[Task],
    workers: int = 1,
    check: Callable[[Task, dict[str, Any]], None] = lambda task, result: None,
) -> dict[str, dict[str, Any]]:
    """Run tasks for a tool, which ends with a sentence instead of a traceback.

    Args:
        tasks: See :func:`run_tasks`.
        workers: See :func:`run_tasks`.
        check: See :func:`run_tasks`.

    Returns:
        See :func:`run_tasks`; ``SystemExit(130)`` on an interruption, ``SystemExit(1)`` when a
        command fails.

    Raises:
        UserError: If ``workers`` is not positive.
    """
    if workers < 1:
        raise UserError(f'--workers {workers} runs nothing; choose 1 or more')
    try:
        return run_tasks(tasks, workers, check)
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from here', file=sys.stderr)
        raise SystemExit(130) from None
    except TaskFailed as error:
        print(f'{error}\nwith the cause removed, the same command goes on here', file=sys.stderr)
        raise SystemExit(1) from None


class _Running:
    """A task under way: one child process at a time."""

    def __init__(self, task: Task, threads: int) -> None:
        self.task = task
        # Threads that wait actively lose everything to a neighbor: steps of 0.2 s took 6 s.
        self.env = {'OMP_WAIT_POLICY': 'passive', **os.environ, 'PYTHONUNBUFFERED': '1'}
        self.env |= {name: str(threads) for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')}
        self.record = open_folder(task)
        self.earlier, self.started = self.record['seconds'], time.monotonic()
        self.before = self.fraction
        self._launch()

    @property
    def spent(self) -> float:
        """Time spent on the task in this session."""
        return time.monotonic() - self.started

    @property
    def seconds(self) -> float:
        """Time spent on the task, earlier sessions included."""
        return self.earlier + self.spent

    @property
    def log(self) -> Path:
        return self.task.folder / f'{self.step.name}.log'

    @property
    def step(self) -> Step:
        return self.task.steps[self.record['steps_done']]

    @property
    def fraction(self) -> float:
        """Share of the task's weight that is done."""
        steps, done = self.task.steps, self.record['steps_done']
        weight = sum(step.weight for step in steps[:done])
        if done < len(steps):
            weight += self.step.weight * log_fraction(self.log, self.step.epochs)
        return weight / self.task.weight

    def state(self) -> TaskState:
        """How far the task is."""
        fraction = self.fraction
        # A resumed training goes back to its last checkpoint, which its log had passed.
        self.before = min(self.before, fraction)
        under_way = self.record['steps_done'] < len(self.task.steps)
        return TaskState(
            self.task.name,
            self.task.weight,
            fraction,
            self.seconds,
            step=self.step.name if under_way else '',
            gained=fraction - self.before,
            spent=self.spent,
        )

    def poll(self) -> dict[str, Any] | None:
        """Start the next step when one has ended; return the task's result after the last.

        Raises:
            TaskFailed: If the step failed.
        """
        code = self.process.poll()
        if code is None:
            return None
        if code != 0:
            self._save()
            raise TaskFailed(_failure_text(self.task.name, self.step.name, code, self.log))
        self.record['steps_done'] += 1
        self._save()
        if self.record['steps_done'] < len(self.task.steps):
            self._launch()
            return None
        result = {'question': self.record['question'], 'seconds': round(self.seconds, 1)}
        result |= self.task.finish()
        write_json(self.task.folder / 'finished.json', result)
        return result

    def stop(self) -> None:
        """End the child and everything it started, and note the time spent."""
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        # As under `nohup make demo &`: children inherit it, and would not hear.
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            numbers.remove(signal.SIGINT)
        for number in numbers:
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(GRACE_SECONDS)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._save()

    def _launch(self) -> None:
        argv = list(self.step.argv())
        # Appended to: the log of an interrupted step is still wanted after it went on.
        with self.log.open('a') as log:
            print('$', *argv, file=log, flush=True)
            # A session of its own: the terminal's Ctrl-C reaches us alone and we end the child.
            self.process = subprocess.Popen(
                argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=_ends_with(os.getpid()),
            )  # fmt: skip

    def _save(self) -> None:
        write_json(self.task.folder / 'started.json', self.record | {'seconds': self.seconds})


def _failure_text(task: str, step: str, code: int, log: Path) -> str:
    lines = log.read_text(errors='replace').splitlines() if log.exists() else []
    tail = '\n'.join(f'    {line}' for line in lines[-8:])
    return f'{step} of {task} ended with exit code {code}; its log {log} ends with\n{tail}'


def _check_order(tasks: Sequence[Task]) -> None:
    before: set[str] = set()
    for task in tasks:
        missing = sorted({*task.needs} - before)
        if missing:
            raise ValueError(
                f'{task.name} needs {", ".join(missing)}, which does not stand before it'
            )
        before.add(task.name)


def _ends_with(parent: int) -> Callable[[], None] | None:
    """What a child of this process calls first, so that it is terminated when this one is killed;
    None where the system is not Linux.
    """
    if sys.platform != 'linux':
        return None
    # Looked up here: a child of a process of several threads shall do little before its program.
    prctl = ctypes.CDLL(None).prctl

    def terminate_later() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return terminate_later


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM and a closed terminal like Ctrl-C, so that no child is left behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # as under nohup
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
