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
from datetime import date
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.study_report import markdown, plot
from mmtoken.experiments.study_runs import (
    Run,
    check_budget,
    check_inputs,
    find_arm,
    load_study,
    run_config,
)
from mmtoken.tasks.launch import run_from_command_line
from mmtoken.tasks.task import Task, text_digest, write_json
from mmtoken.tasks.tool_steps import (
    environment,
    export_weights,
    last_checkpoint,
    test_metrics,
    test_step,
    train_step,
    trained_iterations,
)

from mmengine.config import Config

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
    args = parser.parse_args(argv)
    args.out = args.out or Path('docs/study') / args.study.stem
    args.work_dir = args.work_dir or Path('work_dirs/study') / args.study.stem
    return args


def make_task(study: Config, run: Run, work_dir: Path) -> Task:
    """The training and test of one run.

    Args:
        study: The study.
        run: The run.
        work_dir: The study's folder.

    Returns:
        The task; its identity is the merged config, so that any change of it counts.
    """
    cfg, files = run_config(study, run, work_dir)
    folder = work_dir / run.name
    arm = find_arm(study, run.arm)
    config, final = str(folder / 'config.py'), folder / 'final.pth'
    keep = arm.get('keep_checkpoint', False)

    def finish() -> dict[str, Any]:
        checkpoint = last_checkpoint(folder)
        if keep:
            export_weights(checkpoint, final)
        found, metrics = test_metrics(folder), {}
        for metric in study.metrics:
            if metric.key not in found:
                raise UserError(
                    f'the study asks for the metric {metric.key!r}, and {run.name} measured '
                    f'{", ".join(found)}; correct the study'
                )
            metrics[metric.key] = found[metric.key] * metric.get('scale', 1)
        return {'metrics': metrics, 'iterations': trained_iterations(checkpoint)} | environment()

    return Task(
        name=run.name,
        folder=folder,
        steps=(
            train_step(
                # Only the test at the end counts, and validation would take time from training.
                TOOLS,
                config,
                folder,
                cfg,
                ['--no-validate'],
                lambda: cfg.dump(config),
            ),  # fmt: skip
            test_step(TOOLS, config, folder),
        ),
        identity={'config': arm.config, 'merged': text_digest(str(cfg.to_dict()))},
        inputs=files,
        outputs=[final] if keep else [],
        finish=finish,
    )


def collect(study: Config, runs: dict[str, Run], results: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring finished runs into the form in which ``results.json`` holds them.

    Args:
        study: The study.
        runs: The runs by name.
        results: The finished ones' stamps by name.

    Returns:
        One entry for each finished run, in the order of ``runs``.
    """
    entries = []
    for name, run in runs.items():
        if name in results:
            arm = find_arm(study, run.arm)
            entry = {'arm': run.arm, 'x': run.x, 'seed': run.seed, 'config': arm.config}
            kept = ('metrics', 'iterations', 'seconds', 'versions', 'processor', 'commit')
            entries.append(entry | {key: results[name][key] for key in kept})
    return entries


def write_report(study: Config, entries: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Write ``results.json``, ``README.md`` and ``plot.png``.

    Args:
        study: The study.
        entries: Finished runs.
        args: The command line.
    """
    if not entries:
        raise UserError(f'no run of {args.study} in {args.work_dir} is finished yet')
    check_budget(entries)
    points = study.x['values']
    newest = entries[-1]
    report = {
        'title': study.title,
        'question': study.question,
        'command': f'python tools/analysis_tools/study.py {args.study} --seeds '
        f'{" ".join(map(str, args.seeds))} --workers {args.workers}',
        'date': date.today().isoformat(),
        'environment': {key: newest[key] for key in ('versions', 'processor', 'commit')},
        'metrics': [dict(metric) for metric in study.metrics],
        'x': {
            'name': study.x.name,
            'log': study.x.get('log', False),
            'values': [point.value for point in points],
        },
        'arms': [arm.name for arm in study.arms],
        'control': study.control,
        'seeds': sorted({entry['seed'] for entry in entries}),
        'workers': args.workers,
        'options': study.options.to_dict(),
        'points': [point.to_dict() for point in points],
        'arm_options': {arm.name: arm.get('options', {}) for arm in study.arms},
        'runs': entries,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / 'results.json', report)
    render(report, args.out)


def render(report: dict[str, Any], folder: Path) -> None:
    """Write the table and the plot of a report and print the table.

    Args:
        report: The content of ``results.json``.
        folder: Where they go.
    """
    text = markdown(report)
    (folder / 'README.md').write_text(text)
    plot(report, folder / 'plot.png')
    print(text)


def remove_checkpoints(task: Task) -> None:
    """Delete a finished run's checkpoints but the one that another study starts from."""
    for file in task.folder.glob('*.pth'):
        if file.name != 'final.pth':
            file.unlink()
    (task.folder / 'last_checkpoint').unlink(missing_ok=True)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run a study from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    study = load_study(args.study)
    # Seeds outermost: an interrupted study has every arm of its first seeds.
    grid = [
        Run(arm.name, point.value, seed)
        for seed in args.seeds
        for point in study.x['values']
        for arm in study.arms
    ]
    runs = {run.name: run for run in grid}
    if args.report_only and not any((args.work_dir / name).exists() for name in runs):
        results_file = args.out / 'results.json'
        if not results_file.exists():
            raise UserError(f'neither {args.work_dir} nor {results_file} holds a finished run')
        return render(json.loads(results_file.read_text()), args.out)
    tasks = [make_task(study, run, args.work_dir) for run in grid]
    if args.report_only:
        # What a run started from is needed no more, and may have been removed.
        results = {task.name: found for task in tasks if (found := task.result(inputs_gone=True))}
        return write_report(study, collect(study, runs, results), args)
    for task in tasks:
        check_inputs(task)
    results = {}

    def settle(task: Task, result: dict[str, Any]) -> None:
        results[task.name] = result
        check_budget(collect(study, runs, results))
        remove_checkpoints(task)

    run_from_command_line(tasks, args.workers, settle)
    write_report(study, collect(study, runs, results), args)


if __name__ == '__main__':
    main()
