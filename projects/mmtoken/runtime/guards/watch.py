"""Whether the processes of a run still get on, judged from what each reports. Our design."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

# What a process does in the middle of an epoch. Everything else may take as long as it likes:
# starting, the first steps, compiling, validation, what hooks do such as saving.
DATA, STEP = 'loading data', 'in the step'
# How much slower than usual a step may be before it counts as stuck.
SLOW = 20
# Of the time after which a run must have ended, the part that is waited.
PATIENCE = 2 / 3


@dataclass(frozen=True)
class Report:
    """What a process tells the others about itself.

    Args:
        beat: Counts its reports, so that no two are alike.
        host: Its machine.
        pid: Its number there.
        step: The number of training steps it has finished.
        phase: What it does, in words.
        usual: The median time of its steps in seconds; 0 where it is not known.
        done: Whether its run has ended.
        place: Where its main thread stands: another number where that has moved.
    """

    beat: int
    host: str
    pid: int
    step: int
    phase: str
    usual: float = 0.0
    done: bool = False
    place: int = 0

    def __str__(self) -> str:
        return f'host {self.host}, process {self.pid}'

    def dumps(self) -> str:
        """The report as text."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str | bytes) -> 'Report':
        """The report of a text."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Verdict:
    """What holds a run up.

    Args:
        ranks: The processes that do.
        sentence: What is said of them.
        ends: Whether the run must end; else it is a warning.
    """

    ranks: tuple[int, ...]
    sentence: str
    ends: bool = True


class Watch:
    """Judges whether one of several processes has gone or is stuck.

    Args:
        rank: The process that judges.
        timeout: Seconds within which the run must have ended.
        slow_timeout: The same, for a process that is slow as far as can be told.
        now: The time at the start, in seconds.

    Attributes:
        reports: What was heard last, by rank.
    """

    def __init__(self, rank: int, timeout: float, slow_timeout: float, now: float) -> None:
        self._rank = rank
        self._patience = PATIENCE * timeout
        self._slow_patience = PATIENCE * slow_timeout
        self.reports: dict[int, Report] = {}
        self._heard: dict[int, float] = {}
        self._stood: dict[int, float] = {}
        self._moved = self._answered = now

    def hear(self, reports: Mapping[int, Report], now: float) -> None:
        """Take note of what all processes have reported last.

        Args:
            reports: Theirs, by rank.
            now: The time in seconds.
        """
        self._answered = now
        for rank, report in reports.items():
            before = self.reports.get(rank)
            if before is None or before.beat != report.beat:
                self._heard[rank] = now
            if before is None or before.place != report.place:
                self._stood[rank] = now
            if before is None or (before.step, before.phase) != (report.step, report.phase):
                self._moved = now
            self.reports[rank] = report

    def forgive(self, now: float) -> None:
        """Begin to wait anew, since this process itself was stopped for a while.

        Args:
            now: The time in seconds.
        """
        self._answered = self._moved = now
        self._heard = dict.fromkeys(self._heard, now)
        self._stood = dict.fromkeys(self._stood, now)

    def judge(self, now: float) -> Verdict | None:
        """Say whether the run must end, or whether something may be wrong.

        Args:
            now: The time in seconds.

        Returns:
            What is wrong; None where nothing is, or one may still wait.
        """
        if now - self._answered > self._patience:
            # Whoever answers for all has gone, or is done; nothing is known of the others then.
            first = self.reports.get(0)
            over = self._rank == 0 or (first is not None and first.done)
            return None if over else self._gone((0,), now)
        gone = [
            rank
            for rank, report in self.reports.items()
            if not report.done and now - self._heard[rank] > self._patience
        ]
        gone = [rank for rank in gone if rank != self._rank]
        return self._gone(tuple(gone), now) if gone else self._stuck(now)

    def _gone(self, ranks: tuple[int, ...], now: float) -> Verdict:
        """A sentence about processes that are not heard of."""
        last = self.reports.get(ranks[0])
        seconds = now - self._heard.get(ranks[0], self._answered)
        names = ', '.join(map(str, ranks))
        known = f' ({last}), last {last.phase} after {last.step} steps,' if last else ''
        return Verdict(
            ranks,
            f'rank {names}{known} has not been heard of for {seconds:.0f} s: it was killed or '
            'stopped, or its machine or the network is gone; look there for the reason, and go on '
            'with --resume',
        )

    def _stuck(self, now: float) -> Verdict | None:
        """A sentence about processes that are there and do not get on, while others wait.

        A main thread that stands still hangs. One that moves may be slow, and ends the run only
        when that has lasted long.
        """
        reports = self.reports
        phases = {report.phase for report in reports.values()}
        usual = max((report.usual for report in reports.values()), default=0.0)
        waited, patience = now - self._moved, max(self._patience, SLOW * usual)
        if not phases or phases - {DATA, STEP} or waited <= patience:
            return None
        place = {rank: (report.step, report.phase == STEP) for rank, report in reports.items()}
        behind = tuple(sorted(rank for rank in place if place[rank] == min(place.values())))
        last = reports[behind[0]]
        most = max(self._slow_patience, patience)
        hangs = now - max(map(self._stood.get, behind)) > patience
        # None waits for another one where all of them load.
        ends = phases != {DATA} and (hangs or waited > most)
        if len(behind) == len(reports):
            who, others = f'no process has got on for {waited:.0f} s: all are', ''
        else:
            names = ', '.join(map(str, behind))
            who = f'rank {names} ({last}) has not got on for {waited:.0f} s: it is'
            others = ', and the others wait'
        if ends:
            then = 'see its stacks for where it stands'
        elif phases == {DATA}:
            then = 'look at the disk and the data loading processes'
        else:
            then = f'the run ends when that has lasted {most:.0f} s'
        return Verdict(
            behind,
            f'{who} {last.phase} after {last.step} steps, which usually takes {usual:.1f} s'
            f'{others}; {then}',
            ends,
        )
