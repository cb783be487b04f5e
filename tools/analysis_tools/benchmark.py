"""Time models side by side: interleaved in one process, as ratios, with peak memory.

Timings of separate runs differ by what else the machine does. Here every round times each model
once, in rotating order, and models are compared by the median of their ratios within a round::

    python tools/analysis_tools/benchmark.py --preset life --out docs/benchmark
    python tools/analysis_tools/benchmark.py --models a=CONFIG b=CONFIG --cases 224:8 --mode infer

``--out`` replaces the entry of the same preset and device in ``docs/benchmark.json`` and writes
``docs/benchmark.md`` from it. A preset is a file in ``tools/analysis_tools/benchmarks``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.benchmark_models import config_preset, load_preset
from mmtoken.experiments.benchmark_report import markdown
from mmtoken.experiments.benchmark_rows import Case, Preset
from mmtoken.experiments.benchmark_timing import keep_freed_memory, measure
from mmtoken.tasks.task import write_json

import torch

PRESETS = {path.stem: path for path in Path(__file__).with_name('benchmarks').glob('*.py')}


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
        '--keep-memory',
        action='store_true',
        help='let the C library keep freed memory, which a row else pays for after another',
    )
    parser.add_argument(
        '--out', type=Path, metavar='PREFIX', help='write PREFIX.json and PREFIX.md'
    )
    args = parser.parse_args(argv)
    if args.device == 'auto':
        args.device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return args


def preset_loader(args: argparse.Namespace) -> Callable[[], Preset]:
    """What makes the rows and ratios that the command line asks for.

    Args:
        args: The command line.

    Returns:
        A function without arguments, which another process can call too.

    Raises:
        UserError: If ``--models`` cannot be read, or two models have one name.
    """
    if args.preset:
        return partial(load_preset, PRESETS[args.preset])
    pairs = [text.partition('=') for text in args.models]
    bad = [text for text, (_, _, path) in zip(args.models, pairs, strict=True) if not path]
    if bad:
        raise UserError(f'--models {bad[0]!r} is not of the form NAME=CONFIG')
    configs = {name: path for name, _, path in pairs}
    if len(configs) < len(pairs):
        raise UserError(f'--models {" ".join(args.models)}: two have one name; rename one of them')
    return partial(config_preset, configs)


def make_cases(args: argparse.Namespace, preset: Preset) -> list[Case]:
    """The inputs that the command line asks for.

    Args:
        args: The command line.
        preset: Has what the command line leaves out.

    Returns:
        The cases.

    Raises:
        UserError: If a number is not positive, or the preset has no such mode.
    """
    if args.rounds < 1 or args.warmup < 0:
        raise UserError(f'--rounds {args.rounds} --warmup {args.warmup}: use at least 1 and 0')
    mode = args.mode or preset.modes[0]
    if mode not in preset.modes:
        raise UserError(f'--preset {args.preset} has no --mode {mode}; use {preset.modes[0]}')
    return [
        Case(size, batch, args.device, mode, args.optimizer, args.amp)
        for size, batch in args.cases or preset.cases
    ]


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Benchmark from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    load = preset_loader(args)
    cases = make_cases(args, load())
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.keep_memory and not keep_freed_memory():
        raise UserError('--keep-memory tells glibc, which is not the C library here; leave it out')
    entry = measure(load, cases, args.rounds, args.warmup, memory=not args.no_memory)
    words = sys.argv[1:] if argv is None else argv
    entry['command'] = ' '.join(['python tools/analysis_tools/benchmark.py', *words])
    print(markdown({'': entry}))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        path = args.out.with_suffix('.json')
        entries = json.loads(path.read_text()) if path.exists() else {}
        device = args.device.partition(':')[0]
        entries[f'{args.preset or "models"}, {cases[0].mode}, {device}'] = entry
        write_json(path, dict(sorted(entries.items())))
        args.out.with_suffix('.md').write_text(markdown(entries))


if __name__ == '__main__':
    main()
