"""What a study found, from its runs to the tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.experiments.estimate import Estimate, estimate
from mmtoken.experiments.study_plot import plot
from mmtoken.experiments.study_values import (
    base_of,
    difference_of,
    labels,
    main_metrics,
    select,
    unlike_seeds,
)
from mmtoken.tasks.task import write_json

# Beside the control; more would make a table wider than a page.
WIDE_ARMS = 3


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
    """The report as Markdown.

    Question, command, a table for each main metric, one of all metrics for each x, how the arms
    were tuned, environment.

    Args:
        report: The content of ``results.json``.

    Returns:
        The text of ``docs/study/NAME/README.md``.
    """
    lines = [f'# {report["title"]}', '', report['question'], '']
    lines += ['```', report['command'], '```', '']
    lines += [f'![{report["title"]}](plot.png)', '']
    for metric in main_metrics(report):
        lines += _table(report, metric)
    lines += [_legend(report), '']
    if len(main_metrics(report)) < len(report['metrics']):
        lines += _all_metrics(report)
    if report.get('sweep'):
        lines += _tuning(report)
    return '\n'.join([*lines, _footer(report)]) + '\n'


def _table(report: dict[str, Any], metric: dict[str, str]) -> list[str]:
    """One row for each x and the arms across; with many arms, one row for each arm."""
    axis, control = report['x'], report['control']
    others = [arm for arm in report['arms'] if arm != control]
    wide = len(others) <= WIDE_ARMS
    columns = [axis['name'], 'iterations']
    several = not wide and bool(report.get('against'))
    if wide:
        columns += [control]
        columns += [title for a in others for title in (a, f'{a} − {base_of(report, a)}')]
    elif several:
        columns += ['arm', metric['name'], 'difference', 'from']
    else:
        columns += ['arm', metric['name'], f'− {control}']
    lines = [f'## {_title(metric)}', '', *_head(columns, () if wide else (0, 2, 5))]
    for x, label in zip(axis['values'], labels(report), strict=True):
        iterations = sorted({run['iterations'] for run in report['runs'] if run['x'] == x})
        cells = {arm: _cells(report, arm, x, metric['key']) for arm in [control, *others]}
        start = [label, _list(iterations)]
        if wide:
            lines.append(_row([*start, cells[control][0], *(c for a in others for c in cells[a])]))
        else:
            cells[control] = cells[control][0], ''
            for arm, row in cells.items():
                last = ['' if arm == control else base_of(report, arm)] if several else []
                lines.append(_row([*(start if arm == control else ['', '']), arm, *row, *last]))
    return [*lines, '']


def _cells(report: dict[str, Any], arm: str, x: float | str, key: str) -> tuple[str, str]:
    """An arm's mean, and its difference from that which it is compared with."""
    values = select(report['runs'], arm, x, key)
    return _mean(values), _difference(difference_of(report, arm, x, key))


def _legend(report: dict[str, Any]) -> str:
    runs = report['runs']
    expected = len(report['arms']) * len(report['x']['values']) * len(report['seeds'])
    text = (
        f'Mean ± standard deviation over the seeds {_list(report["seeds"])}, measured on the '
        'validation set with the last checkpoint of each run. In brackets the 95 % interval of '
        "the mean paired difference (same seed, Student's t)."
    )
    if len(runs) < expected:
        text += f' So far {len(runs)} of {expected} runs are finished, and some means are of fewer.'
    cells = ((arm, x) for arm in report['arms'] for x in report['x']['values'])
    if unlike := sum(len(unlike_seeds(report, *cell)) for cell in cells):
        text += f' Pairs left out, since their runs did not start from the same weights: {unlike}.'
    return text


def _all_metrics(report: dict[str, Any]) -> list[str]:
    """One table for each x: metrics down, arms across, so that fifteen metrics stay readable."""
    runs, control = report['runs'], report['control']
    others = [arm for arm in report['arms'] if arm != control]
    lines = ['## All metrics', '']
    lines += [
        f'Mean, and difference from *{control}*'
        + (', or what an arm is compared with above,' if report.get('against') else '')
        + ' with its 95 % interval as above; bold where the '
        'interval leaves zero out, as about one in twenty does where nothing differs.',
        '',
    ]
    for x, label in zip(report['x']['values'], labels(report), strict=True):
        lines += [f'### {report["x"]["name"]}: {label}', '']
        lines += _head(['metric', control, *others], text=[0])
        for metric in report['metrics']:
            cells = [_title(metric), _mean(select(runs, control, x, metric['key']), spread=False)]
            for arm in others:
                values = select(runs, arm, x, metric['key'])
                found = difference_of(report, arm, x, metric['key'])
                difference = f', {_difference(found, bold=True)}' if found else ''
                cells.append(_mean(values, spread=False) + difference)
            lines.append(_row(cells))
        lines.append('')
    return lines


def _tuning(report: dict[str, Any]) -> list[str]:
    """Which candidate each arm uses, and what all of them reached on held-out data."""
    sweep, names = report['sweep'], dict(zip(report['x']['values'], labels(report), strict=True))
    metric = next(metric for metric in report['metrics'] if metric['key'] == sweep['metric'])
    chosen = {(choice['arm'], choice['x'], choice['candidate']) for choice in sweep['choices']}
    plural = 's' if len(sweep['seeds']) > 1 else ''
    lines = ['## How each arm was tuned', '']
    lines += [
        f'Every arm first trained with the same {len(sweep["candidates"])} candidates, so at the '
        f'same cost (seed{plural} {_list(sweep["seeds"])}, of no run above). The tables show '
        f'{_title(metric)} on a part of the training set that none of them trained with; the best '
        'mean, bold, is what the runs above use.',
        '',
    ]
    for x in sweep['x']:
        runs = [run for run in sweep['runs'] if run['x'] == x]
        iterations = _list(sorted({run['iterations'] for run in runs}))
        lines += [f'### {report["x"]["name"]}: {names[x]} ({iterations} iterations)', '']
        also = [names[p['x']] for p in sweep['points'] if p['as'] == x and p['x'] != x]
        if also:
            lines += [f'Used also at {"; ".join(also)}.', '']
        lines += _head(['candidate', *report['arms']], text=[0])
        for candidate in sweep['candidates']:
            own = [run for run in runs if run['candidate'] == candidate['name']]
            cells = [candidate['name']]
            for arm in report['arms']:
                text = _mean(select(own, arm, x, metric['key']))
                bold = (arm, x, candidate['name']) in chosen
                cells.append(f'**{text}**' if bold else text)
            lines.append(_row(cells))
        lines.append('')
    return lines


def _footer(report: dict[str, Any]) -> str:
    env, runs = report['environment'], report['runs']
    tuning = (report.get('sweep') or {}).get('runs', [])
    versions = ', '.join(f'{name} {version}' for name, version in env['versions'].items())
    seconds = sum(run['seconds'] for run in [*runs, *tuning])
    processors = dict.fromkeys(run.get('processor', env['processor']) for run in [*tuning, *runs])
    commits = dict.fromkeys(run.get('commit', env['commit']) for run in [*tuning, *runs])
    number = f'{len(runs)} runs' + (f' and {len(tuning)} to tune them' if tuning else '')
    return (
        f'{number}, {seconds / 60:.0f} minutes of training and testing in all, '
        f'{report["workers"]} at a time, on {" and ".join(processors)} ({versions}; '
        f'commit{"s" * (len(commits) > 1)} {", ".join(commits)}, {report["date"]}). '
        'Every run is in [results.json](results.json).'
    )


def _title(metric: dict[str, str]) -> str:
    return f'{metric["name"]} ({metric["unit"]})'


def _mean(values: dict[int, float], spread: bool = True) -> str:
    if not values:
        return '–'
    found = estimate(list(values.values()))
    return f'{found.mean:.1f}' + (f' ± {found.std:.1f}' if spread and found.count > 1 else '')


def _difference(found: Estimate | None, bold: bool = False) -> str:
    if found is None:
        return '–'
    text = f'{found.mean:+.1f}'
    if bold and abs(found.mean) > found.margin:
        text = f'**{text}**'
    if found.count > 1:
        text += f' [{found.mean - found.margin:+.1f}, {found.mean + found.margin:+.1f}]'
    return text


def _head(columns: Sequence[str], text: Sequence[int] = ()) -> list[str]:
    """Head of a table whose columns are numbers but for those that are text."""
    return [_row(columns), _row([':---' if i in text else '---:' for i in range(len(columns))])]


def _row(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _list(values: Sequence[object]) -> str:
    return ', '.join(f'{v:,}' if isinstance(v, int) else str(v) for v in values) or '–'
