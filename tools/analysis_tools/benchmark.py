"""Time models side by side: interleaved in one process, as ratios, with peak memory.

Timings of separate runs differ by what else the machine does. Here every round times each model
once, in rotating order, and models are compared by the median of their ratios within a round::

    python tools/analysis_tools/benchmark.py --preset life --out docs/benchmark
    python tools/analysis_tools/benchmark.py --models a=CONFIG b=CONFIG --cases 224:8 --mode infer

``--out`` replaces the entry of the same preset and device in ``docs/benchmark.json`` and writes
``docs/benchmark.md`` from it.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import mmtoken  # noqa: F401
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.benchmark_presets import PRESETS, config_preset
from mmtoken.experiments.benchmark_report import markdown
from mmtoken.experiments.benchmark_rows import Case, Preset, Row, Step, peak_memory
from mmtoken.tasks.task import write_json
from mmtoken.tasks.tool_steps import environment

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def parse_case(text: str) -> tuple[int, int]:
    """Read ``SIZE:BATCH``.

    Args:
        text: For example ``224:8``.

    Returns:
        Image size and batch size.
    """
    size, _, batch = text.partition(':')
    if not (size.isdigit() and batch.isdigit() and int(size) and int(batch)):
        raise argparse.ArgumentTypeError(f'{text!r} is not SIZE:BATCH, for example 224:8')
    return int(size), int(batch)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--preset', choices=sorted(PRESETS), help='models, ratios and targets')
    what.add_argument(
        '--models',
        nargs='+',
        metavar='NAME=CONFIG',
        help='backbones of configs; ratios to the first',
    )
    parser.add_argument(
        '--cases',
        type=parse_case,
        nargs='+',
        metavar='SIZE:BATCH',
        help="image size and batch size; the preset's own by default",
    )
    parser.add_argument(
        '--mode',
        choices=['train', 'infer'],
        help="training step or inference; the preset's first by default",
    )
    parser.add_argument(
        '--optimizer', action='store_true', help='let AdamW step at the end of a training step'
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 …')
    parser.add_argument('--amp', choices=['bfloat16', 'float16'], help='autocast to this type')
    parser.add_argument('--threads', type=int, help="CPU threads; torch's own choice by default")
    parser.add_argument('--rounds', type=int, default=15, help='measured rounds (%(default)s)')
    parser.add_argument('--warmup', type=int, default=2, help='rounds before them (%(default)s)')
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    parser.add_argument(
        '--out', type=Path, metavar='PREFIX', help='write PREFIX.json and PREFIX.md'
    )
    args = parser.parse_args(argv)
    if args.device == 'auto':
        args.device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return args


def make_preset(args: argparse.Namespace) -> Preset:
    """The rows and ratios that the command line asks for.

    Args:
        args: The command line; its mode is filled in.

    Returns:
        A preset.

    Raises:
        UserError: If ``--models`` cannot be read, a number is not positive, or the preset has no
            such mode.
    """
    if args.rounds < 1 or args.warmup < 0:
        raise UserError(f'--rounds {args.rounds} --warmup {args.warmup}: use at least 1 and 0')
    preset = PRESETS[args.preset]() if args.preset else _models_preset(args)
    args.mode = args.mode or preset.modes[0]
    if args.mode not in preset.modes:
        raise UserError(f'--preset {args.preset} has no --mode {args.mode}; use {preset.modes[0]}')
    return preset


def _models_preset(args: argparse.Namespace) -> Preset:
    """The backbones that ``--models`` names."""
    pairs = [text.partition('=') for text in args.models]
    bad = [name for name, _, path in pairs if not path]
    if bad:
        raise UserError(f'--models {bad[0]!r} is not of the form NAME=CONFIG')
    return config_preset({name: path for name, _, path in pairs})


def time_once(step: Step) -> float:
    """Seconds of one step, until its last kernel has ended.

    Args:
        step: A prepared step.

    Returns:
        Seconds.
    """
    step.clear()
    step.synchronize()
    start = time.perf_counter()
    step.run()
    step.synchronize()
    return time.perf_counter() - start


def time_rows(
    rows: Sequence[Row], case: Case, rounds: int, warmup: int, tick: Any = lambda: None
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


def measure(args: argparse.Namespace, preset: Preset) -> dict[str, Any]:
    """Measure every case of a preset.

    Args:
        args: The command line.
        preset: What to measure.

    Returns:
        The entry of ``docs/benchmark.json``.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    flags = {'device': args.device, 'mode': args.mode, 'optimizer': args.optimizer, 'amp': args.amp}
    cases = [Case(size, batch, **flags) for size, batch in args.cases or preset.cases]
    measured = []
    with Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as progress:
        for case in cases:
            bar = progress.add_task(f'{case.size} px', total=args.warmup + args.rounds)
            seconds = time_rows(
                preset.rows, case, args.rounds, args.warmup, lambda bar=bar: progress.advance(bar)
            )
            threads = torch.get_num_threads()
            measured_rows = () if args.no_memory else preset.rows
            memory = {row.name: peak_memory(row, case, threads) for row in measured_rows}
            rows = [
                {'name': name, 'memory_mib': memory.get(name)} | quartiles(times)
                for name, times in seconds.items()
            ]
            ratios = compare(preset, seconds, memory, case.size)
            measured.append(
                {'size': case.size, 'batch': case.batch, 'rows': rows, 'ratios': ratios}
            )
    gpu = torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else None
    return {
        'title': preset.title,
        'command': 'python tools/analysis_tools/benchmark.py ' + ' '.join(sys.argv[1:]),
        'date': date.today().isoformat(),
        'rounds': args.rounds,
        'threads': torch.get_num_threads(),
        'gpu': gpu,
        'system': platform.system(),
        'cases': measured,
        **flags,
        **environment(),
    }


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Benchmark from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    preset = make_preset(args)
    entry = measure(args, preset)
    print(markdown({'': entry}))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        path = args.out.with_suffix('.json')
        entries = json.loads(path.read_text()) if path.exists() else {}
        entries[f'{args.preset or "models"}, {args.mode}, {args.device.partition(":")[0]}'] = entry
        write_json(path, dict(sorted(entries.items())))
        args.out.with_suffix('.md').write_text(markdown(entries))


if __name__ == '__main__':
    main()
