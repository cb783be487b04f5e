"""The runs of a study as tasks, and what the finished ones found."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.experiments.study_runs import Run, check_budget, find_arm, run_config
from mmtoken.tasks.task import Task, text_digest
from mmtoken.tasks.tool_steps import (
    environment,
    export_weights,
    last_checkpoint,
    test_metrics,
    test_step,
    train_step,
    trained_iterations,
)


def make_grid(study: Config, seeds: Sequence[int]) -> list[Run]:
    """Every run of a study.

    Args:
        study: The study.
        seeds: One run for each.

    Returns:
        The runs, seeds outermost: an interrupted study has every arm of its first seeds.
    """
    return [
        Run(arm.name, point.value, seed)
        for seed in seeds
        for point in study.x['values']
        for arm in study.arms
    ]


def make_task(study: Config, run: Run, work_dir: Path, tools: Path) -> Task:
    """The training and test of one run.

    Args:
        study: The study.
        run: The run.
        work_dir: The study's folder.
        tools: Folder of ``train.py`` and ``test.py``.

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
                    f'the study asks for the metric {metric.key!r}, '
                    f'and {run.name} measured {", ".join(found)}; correct the study'
                )
            metrics[metric.key] = found[metric.key] * metric.get('scale', 1)
        return {'metrics': metrics, 'iterations': trained_iterations(checkpoint)} | environment()

    return Task(
        name=run.name,
        folder=folder,
        steps=(
            train_step(
                # Only the test at the end counts, and validation would take time from training.
                tools,
                config,
                folder,
                cfg,
                ['--no-validate'],
                lambda: cfg.dump(config),
            ),  # fmt: skip
            test_step(tools, config, folder),
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


def remove_checkpoints(task: Task) -> None:
    """Delete a finished run's checkpoints but the one that another study starts from."""
    for file in task.folder.glob('*.pth'):
        if file.name != 'final.pth':
            file.unlink()
    (task.folder / 'last_checkpoint').unlink(missing_ok=True)


def make_report(
    study: Config, entries: list[dict[str, Any]], command: str, workers: int
) -> dict[str, Any]:
    """Put together what a study asked and found.

    Args:
        study: The study.
        entries: Finished runs, at least one.
        command: The command line that ran them.
        workers: How many ran side by side.

    Returns:
        The content of ``results.json``.

    Raises:
        UserError: If two runs at one x had different numbers of iterations.
    """
    check_budget(entries)
    points, newest = study.x['values'], entries[-1]
    return {
        'title': study.title,
        'question': study.question,
        'command': command,
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
        'workers': workers,
        'options': study.options.to_dict(),
        'points': [point.to_dict() for point in points],
        'arm_options': {arm.name: arm.get('options', {}) for arm in study.arms},
        'runs': entries,
    }
