"""One process of several that was killed or hangs ends the run with the reason, in time."""

import faulthandler
import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from logging import FileHandler
from pathlib import Path
from types import FrameType
from typing import Any

from mmengine.dist import broadcast_object_list, get_dist_info
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch.distributed import DistError, TCPStore

from mmtoken.checks import check_number
from mmtoken.runtime.guards.guard import Guard
from mmtoken.runtime.guards.watch import DATA, STEP, Report, Verdict, Watch

# As for every other error that is a sentence.
EXIT_CODE = 2
# Reports within the time after which a run must have ended.
REPORTS = 12
# Steps before it is known how long one usually takes, and steps that this is known from.
FIRST_STEPS = 10
LAST_STEPS = 100
# Where torch stands while it compiles, in whichever thread.
COMPILERS = ('torch/_dynamo/convert_frame.py', 'torch/_inductor/compile_fx.py')


@HOOKS.register_module()
class WatchdogHook(Guard):
    """End a run of several processes when one of them is killed, stopped or hangs.

    Left alone, the others wait for it in a collective operation: half an hour with gloo, ten
    minutes with NCCL, and for ever where one of them is merely stopped. Each process reports to the
    first one, from a thread of its own, and looks at what the others have reported. One that is not
    heard of has gone.

    When none gets on in the middle of an epoch, it is told who is behind. It hangs if its main
    thread stands still, in a training step or waiting for data, for 20 times as long as a step
    usually takes, too. If it moves, it may just be slow: then there is a warning, and the run ends
    after `slow_timeout`. Where all processes load data, there is the warning alone. Nothing is
    judged that may take long: start, first steps, compiling, validation, and whatever hooks do,
    such as saving. A single process is not watched.

    The main thread is then stuck in a collective operation that no exception reaches, so the
    process ends by `os._exit`: it prints the sentence, writes its stacks into the log folder and
    flushes; no `finally` runs, and no `atexit`. A process of the same machine that was stopped is
    woken up, so that it can end as well. Our design.

    Args:
        timeout: Seconds within which the run ends. A single call that keeps Python's lock for as
            long counts as a hang, and so does a disk that gives nothing to one process alone.
        slow_timeout: Seconds within which it ends where a process may just be slow. The default
            is that after which NCCL gives up.

    Raises:
        UserError: If one of them is no positive number.
    """

    priority = 'VERY_HIGH'

    def __init__(self, timeout: float = 60, slow_timeout: float = 600) -> None:
        check_number('WatchdogHook timeout', timeout, above=0, example=60)
        check_number('WatchdogHook slow_timeout', slow_timeout, above=0, example=600)
        self.timeout, self.slow_timeout = timeout, slow_timeout
        self._post: _Post | None = None
        self._durations: deque[float] = deque(maxlen=LAST_STEPS)
        self._last: float | None = None

    def before_run(self, runner: Runner) -> None:
        """Start to report and to watch, where there are several processes."""
        rank, world = get_dist_info()
        store = _shared_store(rank, world, self.timeout) if world > 1 else None
        if store is not None:
            self._post = _Post(runner, store, self.timeout, self.slow_timeout)
            self._post.start()
        elif world > 1:
            runner.logger.warning(
                'WatchdogHook watches nothing: the processes do not reach a port of the first one'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """The batch is there."""
        if self._post and self._last is not None and self._known:
            self._post.phase = STEP

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """A step is done."""
        if not self._post:
            return
        now = time.monotonic()
        if self._last is not None:
            self._durations.append(now - self._last)
        self._last = now
        self._post.usual = statistics.median(self._durations) if self._known else 0.0
        self._post.step = runner.iter + 1
        self._post.phase = DATA if self._known else 'in the first steps'

    def after_train_epoch(self, runner: Runner) -> None:
        """What comes until the next step is done may take long."""
        self._pause('between epochs')

    def before_val(self, runner: Runner) -> None:
        """So may this."""
        self._pause('validating')

    def before_test(self, runner: Runner) -> None:
        """And this."""
        self._pause('testing')

    def after_run(self, runner: Runner) -> None:
        """Tell the others that nothing more comes from here."""
        if self._post:
            self._post.finish()
            self._post = None

    @property
    def _known(self) -> bool:
        """Whether it is known how long a step usually takes."""
        return len(self._durations) >= FIRST_STEPS

    def _pause(self, phase: str) -> None:
        self._last = None
        if self._post:
            self._post.phase = phase


class _Post:
    """Where a process reports, and looks at what the others have reported.

    Two threads: one talks to the first process, and may be held up there; the other one judges.
    """

    def __init__(
        self, runner: Runner, store: TCPStore, timeout: float, slow_timeout: float
    ) -> None:
        self.step, self.phase, self.usual = runner.iter, 'starting', 0.0
        self._rank, self._world = get_dist_info()
        self._timeout = timeout
        self._interval = timeout / REPORTS
        self._main = threading.main_thread().ident
        self._folder = Path(runner.log_dir)
        handlers = runner.logger.handlers
        self._logs = [item.baseFilename for item in handlers if isinstance(item, FileHandler)]
        self._store = store
        self._watch = Watch(self._rank, timeout, slow_timeout, time.monotonic())
        self._lock = threading.Lock()
        self._done, self._told, self._all_done = (threading.Event() for _ in range(3))

    def start(self) -> None:
        """Start both threads; they end with the process at the latest."""
        for work in (self._talk, self._look):
            threading.Thread(target=work, name=f'watchdog {work.__name__}', daemon=True).start()

    def finish(self) -> None:
        """Report the end; the first process stays until all have, since it answers for them."""
        self._done.set()
        self._told.wait(self._timeout)
        if self._rank == 0:
            self._all_done.wait(self._timeout)

    def _talk(self) -> None:
        """Report and ask, again and again."""
        keys = [str(rank) for rank in range(self._world)]
        beat = 0
        # A store that has gone raises; what that means is for the other thread to judge.
        with suppress(Exception):
            while not self._all_done.is_set():
                beat += 1
                own = self._report(beat)
                self._store.set(keys[self._rank], own.dumps())
                if own.done:
                    self._told.set()
                found: dict[int, Report] = {}
                if self._store.check(keys):
                    found = dict(enumerate(map(Report.loads, self._store.multi_get(keys))))
                with self._lock:
                    self._watch.hear(found, time.monotonic())
                if found and all(report.done for report in found.values()):
                    self._all_done.set()
                (self._all_done if self._done.is_set() else self._done).wait(self._interval)
        self._told.set()
        self._all_done.set()

    def _report(self, beat: int) -> Report:
        """What this process tells of itself."""
        phase, stack = self.phase, []
        frames = sys._current_frames()
        # What hooks do is seen on the stack.
        for frame in _frames(frames.get(self._main)):
            stack.append((id(frame.f_code), frame.f_lasti))
            if frame.f_code.co_name == 'call_hook':
                phase = 'in a hook'
        if any(map(_is_compiling, frames.values())):
            phase = 'compiling'
        return Report(
            beat,
            socket.gethostname(),
            os.getpid(),
            self.step,
            phase,
            self.usual,
            self._done.is_set(),
            place=hash(tuple(stack)),
        )

    def _look(self) -> None:
        """Judge, again and again."""
        before, warned = time.monotonic(), False
        while not self._done.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                # It was stopped itself, perhaps with all the others.
                if now - before > self._timeout / 2:
                    self._watch.forgive(now)
                verdict, before = self._watch.judge(now), now
            if verdict and verdict.ends:
                self._end(verdict)
            if verdict and not warned and self._rank == 0:
                self._say(f'warning: {verdict.sentence}')
            warned = verdict is not None

    def _end(self, verdict: Verdict) -> None:
        """Say why, and end the process."""
        stacks = self._folder / f'stacks_rank{self._rank}.txt'
        sentence = f'rank {self._rank} ends: {verdict.sentence} ({stacks})'
        with suppress(OSError), stacks.open('w') as file:
            faulthandler.dump_traceback(file)
        self._say(f'error: {sentence}')
        # So that all find out by themselves, before a connection breaks that this process had.
        time.sleep(2 * self._interval)
        self._wake(verdict.ranks)
        os._exit(EXIT_CODE)

    def _say(self, sentence: str) -> None:
        """Say something, by nothing that may wait for the main thread as the logger's lock does."""
        line = f'{sentence}\n'
        for log in self._logs:
            with suppress(OSError), open(log, 'a') as file:
                file.write(line)
        with suppress(OSError):
            os.write(2, line.encode())

    def _wake(self, ranks: tuple[int, ...]) -> None:
        """Let processes of this machine that were stopped go on, to find that the others ended."""
        with self._lock:
            reports = self._watch.reports
        for rank in ranks:
            report = reports.get(rank)
            if rank != self._rank and report and report.host == socket.gethostname():
                with suppress(OSError):
                    os.kill(report.pid, signal.SIGCONT)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_compiling(frame: FrameType) -> bool:
    """Whether torch compiles in the thread of a frame."""
    return any(
        # What a compiled graph runs stands there, too.
        one.f_code.co_filename.endswith(COMPILERS) and one.f_code.co_name != 'run'
        for one in _frames(frame)
    )


def _shared_store(rank: int, world: int, timeout: float) -> TCPStore | None:
    """A store that the first process keeps; its port is free, and told to the others.

    None where it cannot be reached, since a run must not end for that.
    """
    host = os.environ.get('MASTER_ADDR') or socket.gethostname()
    options = dict(wait_for_workers=False, timeout=timedelta(seconds=timeout))
    port: list[Any] = [None]
    store = None
    if rank == 0:
        with suppress(DistError):
            store = TCPStore(host, 0, world, is_master=True, **options)
            port = [store.port]
    broadcast_object_list(port)
    if rank != 0 and port[0] is not None:
        with suppress(DistError):
            store = TCPStore(host, port[0], world, is_master=False, **options)
    return store
