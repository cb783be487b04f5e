"""Run a study, arms x values of an axis x seeds, and report it as a table and a plot.

A study is a config (see ``tools/analysis_tools/studies``)::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/classification.py --workers 2

Each run trains with ``tools/train.py`` and tests its last checkpoint with ``tools/test.py``. A
study with a sweep first trains every arm with every candidate, measures them on held-out data, and
runs each arm with the best of its own.

Finished runs are kept, so the same command goes on after an interruption; a run whose config has
changed since is repeated. Those that the report's results.json holds count as finished too, so that
a study can go on on another machine, or in parts::

    python tools/analysis_tools/study.py STUDY --arms 'from scratch' --x 100 --seeds 3 4

Parts may run side by side, where no run is in two of them.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.mode import hand_on
from mmtoken.config_check.outputs import check_report
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.study_file import find_arm, find_point, load_study
from mmtoken.experiments.study_report import write_report
from mmtoken.experiments.study_results import make_report
from mmtoken.experiments.study_runs import check_sweep, make_grid, sweep_grid
from mmtoken.experiments.study_sweep import check_seeds, choose, tuned_x
from mmtoken.experiments.study_tasks import Place, committed_entries, finish_runs
from mmtoken.runtime.cli import add_check_argument

TOOLS = Path(__file__).resolve().parents[1]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('study', type=Path, help='study file')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='one run for each')
    parser.add_argument('--arms', nargs='+', metavar='NAME', help='run only these arms')
    parser.add_argument('--x', nargs='+', metavar='VALUE', help='run only at these values of x')
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
    check_report(args.out)
    study = load_study(args.study)
    place = Place(args.work_dir, TOOLS, args.out / 'results.json', args.workers)
    # Runs of other seeds stay in the report; old reports do not say which config theirs are of.
    earlier = [run for run in committed_entries(place.results) if 'digest' in run]
    seeds = sorted({run['seed'] for run in earlier if not run.get('tuning')}.union(args.seeds))
    check_seeds(study, seeds)
    if args.report_only and not any(args.work_dir.rglob('finished.json')):
        if not place.results.exists():
            raise UserError(
                f'neither {args.work_dir} nor {place.results} holds a finished run; '
                'run the study without --report-only first'
            )
        return write_report(json.loads(place.results.read_text()), args.out)
    arms = {find_arm(study, name).name for name in args.arms or [arm.name for arm in study.arms]}
    points = [find_point(study, x).value for x in args.x or [p.value for p in study.x['values']]]
    tuning, choices = [], {}
    if study.sweep:
        if not args.report_only:
            check_sweep(study, args.work_dir)
        tuned = {tuned_x(study, x) for x in points}
        runs = sweep_grid(study)
        wanted = {run for run in runs if run.arm in arms and run.x in tuned}
        tuning = finish_runs(study, runs, set() if args.report_only else wanted, place)
        choices = choose(study, tuning)
        for (arm, x), candidate in choices.items():
            print(f'the sweep chose {candidate!r} for {arm} at {find_point(study, x).label}')
    runs = make_grid(study, seeds, choices)
    wanted = {run for run in runs if run.arm in arms and run.x in points and run.seed in args.seeds}
    entries = finish_runs(study, runs, set() if args.report_only else wanted, place)
    if not entries:
        raise UserError(
            f'no run of {args.study} in {args.work_dir} is finished yet; let one finish first'
        )
    command = ['python', 'tools/analysis_tools/study.py', args.study]
    write_report(make_report(study, entries, command, args.workers, tuning, choices), args.out)


if __name__ == '__main__':
    main()
