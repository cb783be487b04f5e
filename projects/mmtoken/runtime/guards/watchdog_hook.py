"""One process of several that was killed or hangs ends the run with the reason, within a minute."""

import faulthandler
import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta
from logging import FileHandler
from pathlib import Path
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


@HOOKS.register_module()
class WatchdogHook(Guard):
    """End a run of several processes when one of them is killed, stopped or hangs.

    Left alone, the others wait for it in a collective operation: half an hour with gloo, ten
    minutes with NCCL, and for ever where one of them is merely stopped. Each process reports to the
    first one, from a thread of its own, and looks at what the others have reported. One that is not
    heard of has gone; when none gets on in the middle of an epoch, whoever is behind hangs. Nothing
    is judged that may take long: start, first steps, validation, and whatever hooks do, such as
    saving. A single process is not watched.

    The main thread is then stuck in a collective operation that no exception reaches, so the
    process ends by `os._exit`: it prints the sentence, writes its stacks into the log folder and
    flushes; no `finally` runs, and no `atexit`. A process of the same machine that was stopped is
    woken up, so that it can end as well. Our design.

    Args:
        timeout: Seconds within which the run ends. A single call that keeps Python's lock for as
            long counts as a hang.

    Raises:
        UserError: If `timeout` is no positive number.
    """

    priority = 'VERY_HIGH'

    def __init__(self, timeout: float = 60) -> None:
        check_number('WatchdogHook timeout', timeout, above=0, example=60)
        self.timeout = timeout
        self._post: _Post | None = None
        self._durations: deque[float] = deque(maxlen=LAST_STEPS)
        self._last: float | None = None

    def before_run(self, runner: Runner) -> None:
        """Start to report and to watch, where there are several processes."""
        rank, world = get_dist_info()
        store = _shared_store(rank, world, self.timeout) if world > 1 else None
        if store is not None:
            self._post = _Post(runner, store, self.timeout)
            self._post.start()
        elif world > 1:
            runner.logger.warning(
                'WatchdogHook watches nothing: the processes do not reach a port of the first one'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """The batch is there."""
        if self._post and self._last is not None:
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
        known = len(self._durations) >= FIRST_STEPS
        self._post.usual = statistics.median(self._durations) if known else 0.0
        self._post.step = runner.iter + 1
        self._post.phase = DATA if known else 'in the first steps'

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

    def _pause(self, phase: str) -> None:
        self._last = None
        if self._post:
            self._post.phase = phase


class _Post:
    """Where a process reports, and looks at what the others have reported.

    Two threads: one talks to the first process, and may be held up there; the other one judges.
    """

    def __init__(self, runner: Runner, store: TCPStore, timeout: float) -> None:
        self.step, self.phase, self.usual = runner.iter, 'starting', 0.0
        self._rank, self._world = get_dist_info()
        self._timeout = timeout
        self._interval = timeout / REPORTS
        self._main = threading.main_thread().ident
        self._folder = Path(runner.log_dir)
        handlers = runner.logger.handlers
        self._logs = [item.baseFilename for item in handlers if isinstance(item, FileHandler)]
        self._store = store
        self._watch = Watch(self._rank, timeout, time.monotonic())
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
        host, done = socket.gethostname(), self._done.is_set()
        return Report(beat, host, os.getpid(), self.step, self._true_phase(), self.usual, done)

    def _look(self) -> None:
        """Judge, again and again."""
        before = time.monotonic()
        while not self._done.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                # It was stopped itself, perhaps with all the others.
                if now - before > self._timeout / 2:
                    self._watch.forgive(now)
                verdict, before = self._watch.judge(now), now
            if verdict:
                self._end(verdict)

    def _true_phase(self) -> str:
        """What the main thread does; what hooks do is seen on its stack."""
        frame = sys._current_frames().get(self._main)
        while frame is not None:
            if frame.f_code.co_name == 'call_hook':
                return 'in a hook'
            frame = frame.f_back
        return self.phase

    def _end(self, verdict: Verdict) -> None:
        """Say why, and end the process."""
        stacks = self._folder / f'stacks_rank{self._rank}.txt'
        sentence = f'rank {self._rank} ends: {verdict.sentence} ({stacks})'
        # Nothing that may wait for the main thread, such as the logger's lock.
        with suppress(OSError), stacks.open('w') as file:
            faulthandler.dump_traceback(file)
        for log in self._logs:
            with suppress(OSError), open(log, 'a') as file:
                file.write(f'{sentence}\n')
        with suppress(OSError):
            os.write(2, f'error: {sentence}\n'.encode())
        # So that all find out by themselves, before a connection breaks that this process had.
        time.sleep(2 * self._interval)
        self._wake(verdict.ranks)
        os._exit(EXIT_CODE)

    def _wake(self, ranks: tuple[int, ...]) -> None:
        """Let processes of this machine that were stopped go on, to find that the others ended."""
        with self._lock:
            reports = self._watch.reports
        for rank in ranks:
            report = reports.get(rank)
            if rank != self._rank and report and report.host == socket.gethostname():
                with suppress(OSError):
                    os.kill(report.pid, signal.SIGCONT)


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
