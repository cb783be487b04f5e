"""Run a study, arms x values of an axis x seeds, and report it as a table and a plot.

A study is a config (see ``tools/analysis_tools/studies``)::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/classification.py --workers 2

Each run trains with ``tools/train.py`` and tests its last checkpoint with ``tools/test.py``.
Finished runs are kept, so the same command goes on after an interruption; a run whose config has
changed since is repeated.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.config_check.mode import hand_on
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.study_report import write_report
from mmtoken.experiments.study_runs import check_budget, check_inputs, load_study
from mmtoken.experiments.study_tasks import (
    collect,
    make_grid,
    make_report,
    make_task,
    remove_checkpoints,
)
from mmtoken.runtime.cli import add_check_argument
from mmtoken.tasks.launch import run_from_command_line
from mmtoken.tasks.task import Task

TOOLS = Path(__file__).resolve().parents[1]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('study', type=Path, help='study file')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='one run for each')
    parser.add_argument(
        '--workers', type=int, default=1, help='runs side by side; they share the CPU cores'
    )
    parser.add_argument('--out', type=Path, help='report folder; docs/study/NAME by default')
    parser.add_argument(
        '--work-dir', type=Path, help="the runs' folder; work_dirs/study/NAME by default"
    )
    parser.add_argument(
        '--report-only', action='store_true', help='run nothing; report the finished runs'
    )
    add_check_argument(parser)
    args = parser.parse_args(argv)
    args.out = args.out or Path('docs/study') / args.study.stem
    args.work_dir = args.work_dir or Path('work_dirs/study') / args.study.stem
    return args


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run a study from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    hand_on(args.check)
    study = load_study(args.study)
    grid = make_grid(study, args.seeds)
    if args.report_only and not any((args.work_dir / run.name).exists() for run in grid):
        results_file = args.out / 'results.json'
        if not results_file.exists():
            raise UserError(
                f'neither {args.work_dir} nor {results_file} holds a finished run; '
                'run the study without --report-only first'
            )
        return write_report(json.loads(results_file.read_text()), args.out)
    tasks = [make_task(study, run, args.work_dir, TOOLS) for run in grid]
    runs, results = {run.name: run for run in grid}, {}

    def settle(task: Task, result: dict[str, Any]) -> None:
        results[task.name] = result
        check_budget(collect(study, runs, results))
        remove_checkpoints(task)

    if args.report_only:
        # What a run started from is needed no more, and may have been removed.
        results |= {task.name: found for task in tasks if (found := task.result(inputs_gone=True))}
        if not results:
            raise UserError(
                f'no run of {args.study} in {args.work_dir} is finished yet; let one finish first'
            )
    else:
        for task in tasks:
            check_inputs(task)
        run_from_command_line(tasks, args.workers, settle)
    command = ['python', 'tools/analysis_tools/study.py', args.study, '--seeds', *args.seeds]
    command = ' '.join(map(str, [*command, '--workers', args.workers]))
    write_report(make_report(study, collect(study, runs, results), command, args.workers), args.out)


if __name__ == '__main__':
    main()
