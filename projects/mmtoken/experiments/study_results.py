"""What a study asked and found, as ``results.json`` holds it."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from mmengine.config import Config

from mmtoken.experiments.study_file import curve_points
from mmtoken.experiments.study_runs import Choices, check_budget
from mmtoken.experiments.study_sweep import tuned_x


def make_report(
    study: Config,
    entries: list[dict[str, Any]],
    command: Sequence[object],
    workers: int,
    tuning: Sequence[dict[str, Any]] = (),
    choices: Choices | None = None,
) -> dict[str, Any]:
    """Put together what a study asked and found.

    Args:
        study: The study.
        entries: Finished runs, at least one.
        command: The start of the command line that ran them, without the seeds.
        workers: How many ran side by side.
        tuning: Finished runs of the sweep.
        choices: The candidate by arm and tuned x.

    Returns:
        The content of ``results.json``.

    Raises:
        UserError: If two runs at one x had different numbers of iterations.
    """
    check_budget(entries)
    check_budget(tuning)
    points, newest = study.x['values'], entries[-1]
    seeds = sorted({entry['seed'] for entry in entries})
    return {
        'title': study.title,
        'question': study.question,
        'command': ' '.join(map(str, [*command, '--seeds', *seeds, '--workers', workers])),
        'date': date.today().isoformat(),
        'environment': {key: newest[key] for key in ('versions', 'processor', 'commit')},
        'metrics': [dict(metric) for metric in study.metrics],
        'x': {
            'name': study.x.name,
            'log': study.x.get('log', False),
            'values': [point.value for point in points],
            'labels': [point.label for point in points],
            'curves': [
                {
                    'name': curve.name,
                    'log': curve.get('log', False),
                    'points': curve_points(study, curve),
                }
                for curve in study.x.get('curves', [])
            ],
        },
        'arms': [arm.name for arm in study.arms],
        'control': study.control,
        'against': {arm.name: arm.against for arm in study.arms if arm.get('against')},
        'seeds': seeds,
        'workers': workers,
        'options': study.options.to_dict(),
        'points': [point.to_dict() for point in points],
        'arm_options': {arm.name: arm.get('options', {}) for arm in study.arms},
        'seed_options': {arm.name: arm.seed_options for arm in study.arms if 'seed_options' in arm},
        'sweep': _sweep(study, tuning, choices or {}) if study.sweep else None,
        'runs': entries,
    }


def _sweep(study: Config, tuning: Sequence[dict[str, Any]], choices: Choices) -> dict[str, Any]:
    sweep = study.sweep.to_dict()
    chosen = [{'arm': arm, 'x': x, 'candidate': name} for (arm, x), name in choices.items()]
    points = [{'x': point.value, 'as': tuned_x(study, point.value)} for point in study.x['values']]
    return sweep | {'choices': chosen, 'points': points, 'runs': list(tuning)}
