"""The timing of a benchmark: rows interleaved round by round, and the ratios between them."""

import ctypes
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmtoken.experiments.benchmark_rows import Case, Preset, Row, Step, peak_memory
from mmtoken.tasks.tool_steps import environment


def time_once(step: Step) -> float:
    """Seconds of one step, until its last kernel has ended.

    Args:
        step: A prepared step.

    Returns:
        Seconds, without those that the model says were not of what is timed: its `untimed`.
    """
    step.clear()
    step.synchronize()
    start = time.perf_counter()
    step.run()
    step.synchronize()
    return time.perf_counter() - start - getattr(step.model, 'untimed', 0.0)


def time_rows(
    rows: Sequence[Row],
    case: Case,
    rounds: int,
    warmup: int,
    tick: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Time all rows round by round.

    Args:
        rows: What to time.
        case: Input and mode.
        rounds: Measured rounds.
        warmup: Rounds before them.
        tick: Called after every round.

    Returns:
        Seconds of each row, one number a round.
    """
    steps = [Step(row, case) for row in rows]
    seconds: dict[str, list[float]] = {row.name: [] for row in rows}
    for index in range(warmup + rounds):
        # The order rotates, so that no row always runs in the wake of the same other one.
        shift = index % len(rows)
        order = [*range(shift, len(rows)), *range(shift)]
        for place in order:
            elapsed = time_once(steps[place])
            if index >= warmup:
                seconds[rows[place].name].append(elapsed)
        tick()
    return seconds


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median and the quartiles around it.

    Args:
        values: At least one number.

    Returns:
        ``median``, ``low`` and ``high``.
    """
    if len(values) == 1:
        return dict.fromkeys(('median', 'low', 'high'), values[0])
    low, median, high = statistics.quantiles(values, n=4, method='inclusive')
    return {'median': median, 'low': low, 'high': high}


def compare(
    preset: Preset, seconds: dict[str, list[float]], memory: dict[str, float], size: int
) -> list[dict[str, Any]]:
    """The ratios of a preset, those of time each taken within the rounds.

    Args:
        preset: Names the ratios.
        seconds: What :func:`time_rows` returns.
        memory: Peak memory of each row that it was measured of.
        size: Image size, on which a target may depend.

    Returns:
        For each ratio that was measured its names, target and quartiles.
    """
    measured = {'time': seconds, 'memory': {name: [mib] for name, mib in memory.items()}}
    found = []
    for ratio in preset.ratios:
        values = measured[ratio.of]
        if not values.keys() >= {ratio.row, ratio.base}:
            continue
        pairs = zip(values[ratio.row], values[ratio.base], strict=True)
        paired = quartiles([row / base for row, base in pairs])
        about = {'row': ratio.row, 'base': ratio.base, 'of': ratio.of}
        found.append(about | {'target': ratio.target_at(size)} | paired)
    return found


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for the rest of this process.

    glibc gives large blocks back to the system, and asks for them anew: how often depends on what
    ran before, so that a row pays for what its neighbor freed. Where 197 tokens of DeiT-T's layers
    took 84 ms and 9,000 page faults beside other rows, they took 73 ms without a fault so.

    Returns:
        Whether it does; only glibc is told.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    most = 2**31 - 1
    # M_MMAP_THRESHOLD, of which 32 MiB is the most that glibc takes, M_TRIM_THRESHOLD, M_TOP_PAD.
    options = (-3, 2**25), (-1, most), (-2, 2**26)
    taken = [mallopt(name, value) for name, value in options]
    return all(taken)


def measure(
    load: Callable[[], Preset],
    cases: Sequence[Case],
    rounds: int,
    warmup: int,
    memory: bool = True,
) -> dict[str, Any]:
    """Measure a preset.

    Args:
        load: Makes the preset; importable where peak memory is measured.
        cases: Inputs, which differ in size and batch alone.
        rounds: Measured rounds.
        warmup: Rounds before them.
        memory: Whether peak memory is measured too.

    Returns:
        The entry of ``docs/benchmark.json``, all but its command.
    """
    preset, threads, measured = load(), torch.get_num_threads(), []
    with Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as progress:
        for case in cases:
            bar = progress.add_task(f'{case.size} px', total=warmup + rounds)
            seconds = time_rows(
                preset.rows, case, rounds, warmup, lambda bar=bar: progress.advance(bar)
            )
            names = seconds if memory and preset.memory else ()
            notes = {row.name: row.note(case.size) for row in preset.rows if row.note}
            peaks = {name: peak_memory(load, name, case, threads) for name in names}
            rows = [
                {'name': name, 'memory_mib': peaks.get(name), 'note': notes.get(name)}
                | quartiles(times)
                for name, times in seconds.items()
            ]
            ratios = compare(preset, seconds, peaks, case.size)
            measured.append(
                {'size': case.size, 'batch': case.batch, 'rows': rows, 'ratios': ratios}
            )
    flags = {name: asdict(cases[0])[name] for name in ('device', 'mode', 'optimizer', 'amp')}
    device = flags['device']
    return {
        'title': preset.title,
        'date': date.today().isoformat(),
        'rounds': rounds,
        'threads': threads,
        'gpu': torch.cuda.get_device_name(device) if device.startswith('cuda') else None,
        'system': platform.system(),
        'cases': measured,
        **flags,
        **environment(),
    }
