"""What a study found, from its runs to the table and the plot."""

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from mmtoken.experiments.estimate import Estimate, estimate
from mmtoken.tasks.task import write_json


def select(runs: Sequence[dict[str, Any]], arm: str, x: float, key: str) -> dict[int, float]:
    """One arm's values of a metric at one x.

    Args:
        runs: Entries of ``results.json``.
        arm: Name of the arm.
        x: Value on the x axis.
        key: Name of the metric.

    Returns:
        The value of each seed.
    """
    return {r['seed']: r['metrics'][key] for r in runs if r['arm'] == arm and r['x'] == x}


def paired_difference(arm: dict[int, float], control: dict[int, float]) -> Estimate | None:
    """Difference of two arms over the seeds that both have.

    Pairing by seed takes out what the seeds' draws of data have in common.

    Args:
        arm: Value of each seed.
        control: The same of the control arm.

    Returns:
        The mean difference, or None where no seed is common.
    """
    seeds = sorted(arm.keys() & control.keys())
    return estimate([arm[seed] - control[seed] for seed in seeds]) if seeds else None


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write ``results.json``, ``README.md`` and ``plot.png``, and print the table.

    Args:
        report: The content of ``results.json``.
        folder: Where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / 'results.json', report)
    text = markdown(report)
    (folder / 'README.md').write_text(text)
    plot(report, folder / 'plot.png')
    print(text)


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown: question, command, one table for each metric, environment.

    Args:
        report: The content of ``results.json``.

    Returns:
        The text of ``docs/study/NAME/README.md``.
    """
    env = report['environment']
    versions = ', '.join(f'{name} {version}' for name, version in env['versions'].items())
    seconds = sum(run['seconds'] for run in report['runs'])
    lines = [
        f'# {report["title"]}',
        '',
        report['question'],
        '',
        '```',
        report['command'],
        '```',
        '',
    ]
    lines += [f'![{report["title"]}](plot.png)', '']
    for metric in report['metrics']:
        lines += _table(report, metric)
    lines += [
        f'Mean ± standard deviation over the seeds {_list(report["seeds"])}, measured on the '
        'validation set with the last checkpoint of each run. In brackets the 95 % interval of '
        "the mean paired difference (same seed, Student's t).",
        '',
        f'{len(report["runs"])} runs, {seconds / 60:.0f} minutes of training and testing in all, '
        f'{report["workers"]} at a time, on {env["processor"]} ({versions}; commit '
        f'{env["commit"]}, {report["date"]}). Every run is in [results.json](results.json).',
    ]
    return '\n'.join(lines) + '\n'


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw each metric over x: one curve for each arm, error bars of one standard deviation; where
    x has one value, the arms side by side.

    Args:
        report: The content of ``results.json``.
        path: The picture to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    metrics, axis, arms = report['metrics'], report['x'], report['arms']
    alone = len(axis['values']) == 1
    figure, axes = pyplot.subplots(
        1, len(metrics), figsize=(4.8 * len(metrics), 3.8), squeeze=False, layout='constrained'
    )
    for axes_of_metric, metric in zip(axes[0], metrics, strict=True):
        for index, arm in enumerate(arms):
            points = [
                (x, estimate(list(found.values())))
                for x in axis['values']
                if (found := select(report['runs'], arm, x, metric['key']))
            ]
            axes_of_metric.errorbar(
                [index if alone else x for x, _ in points],
                [point.mean for _, point in points],
                yerr=[0 if math.isnan(point.std) else point.std for _, point in points],
                label=arm, marker='os^Dv'[index % 5], capsize=3,
            )  # fmt: skip
        ticks = [f'{x:,}' for x in axis['values']]
        if alone:
            axes_of_metric.set_xticks(range(len(arms)), arms)
            axes_of_metric.set_xlim(-0.5, len(arms) - 0.5)
            axes_of_metric.set_xlabel(f'{ticks[0]} {axis["name"]}')
        else:
            axes_of_metric.set_xscale('log' if axis['log'] else 'linear')
            axes_of_metric.set_xticks(axis['values'], ticks)
            axes_of_metric.set_xlabel(axis['name'])
        axes_of_metric.minorticks_off()
        axes_of_metric.set_ylabel(f'{metric["name"]} ({metric["unit"]})')
        axes_of_metric.grid(alpha=0.3)
    if not alone:
        axes[0][0].legend(frameon=False)
    # Titles are longer than one panel is wide, and would be cut.
    figure.suptitle(fill(report['title'], 45 * len(report['metrics'])))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _table(report: dict[str, Any], metric: dict[str, str]) -> list[str]:
    runs, control, key = report['runs'], report['control'], metric['key']
    others = [arm for arm in report['arms'] if arm != control]
    columns = [report['x']['name'], 'iterations', control]
    columns += [title for arm in others for title in (arm, f'{arm} − {control}')]
    lines = [
        f'## {metric["name"]} ({metric["unit"]})',
        '',
        _row(columns),
        _row(['---:'] * len(columns)),
    ]
    for x in report['x']['values']:
        iterations = {run['iterations'] for run in runs if run['x'] == x}
        base = select(runs, control, x, key)
        cells = [f'{x:,}', _list(sorted(iterations)), _mean(base)]
        for arm in others:
            values = select(runs, arm, x, key)
            cells += [_mean(values), _difference(paired_difference(values, base))]
        lines.append(_row(cells))
    return [*lines, '']


def _mean(values: dict[int, float]) -> str:
    if not values:
        return '–'
    found = estimate(list(values.values()))
    return f'{found.mean:.1f}' + ('' if found.count == 1 else f' ± {found.std:.1f}')


def _difference(found: Estimate | None) -> str:
    if found is None:
        return '–'
    text = f'{found.mean:+.1f}'
    if found.count > 1:
        text += f' [{found.mean - found.margin:+.1f}, {found.mean + found.margin:+.1f}]'
    return text


def _row(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _list(values: Sequence[object]) -> str:
    return ', '.join(f'{v:,}' if isinstance(v, int) else str(v) for v in values) or '–'
