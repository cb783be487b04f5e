"""The picture of a study."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

from mmtoken.experiments.estimate import estimate
from mmtoken.experiments.study_values import labels, main_metrics, select

# Between two arms at one x, in steps of the axis.
DODGE = 0.12
# At most how far the first arm of a name is from the last one; names are 1 apart.
GROUP = 0.85
# Letters under a panel.
LETTERS = 56


@dataclass
class Axis:
    """The horizontal axis of a panel.

    Args:
        name: What it is called.
        points: Values of x and where they are drawn.
        ticks: Their texts.
        line: Whether they are joined; otherwise arms stand side by side.
        log: Whether distances are ratios.
    """

    name: str
    points: list[tuple[Any, float]]
    ticks: list[str] = field(default_factory=list)
    line: bool = True
    log: bool = False


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw each main metric, with error bars of one standard deviation.

    Over numbers there is one curve for each arm, and one panel for each of the curves that the
    study names; over names the arms stand side by side; and where x has one value, below each
    other.

    Args:
        report: The content of ``results.json``.
        path: The picture to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    metrics, alone = main_metrics(report), len(report['x']['values']) == 1
    axes = [] if alone else _axes(report)
    # Metrics beside each other, or below where each has several panels.
    rows, columns = (len(metrics), len(axes)) if len(axes) > 1 else (1, len(metrics))
    height = 0.35 * len(report['arms']) + 1.6 if alone else 3.8 if rows == 1 else 3.0
    # Of ten letters to an inch and the marker's seven, names fit beside each other or go below.
    width = 4.8 * columns
    fitting = int(10 * width / (7 + max(len(arm) for arm in report['arms'])))
    ncols = min(max(fitting, 1), 4)
    below = 0.0 if alone else 0.2 * max(math.ceil(len(report['arms']) / ncols) - 2, 0)
    figure, panels = pyplot.subplots(
        rows, columns, figsize=(width, height * rows + below), squeeze=False, layout='constrained',
        sharey=alone,
    )  # fmt: skip
    places = iter(panels.flat)
    for metric in metrics:
        for axis in axes:
            _draw(next(places), report, metric, axis)
        if alone:
            _draw_alone(next(places), report, metric)
    if not alone:
        handles, names = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc='outside lower center', ncols=ncols, frameon=False)
    # Titles are longer than one panel is wide, and would be cut.
    figure.suptitle(fill(report['title'], 45 * columns))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _axes(report: dict[str, Any]) -> list[Axis]:
    axis, ticks = report['x'], labels(report)
    # The first reports had no curves.
    if axis.get('curves'):
        return [
            Axis(curve['name'], curve['points'], [f'{n:,}' for _, n in curve['points']],
                 log=curve['log'])
            for curve in axis['curves']
        ]  # fmt: skip
    if any(isinstance(value, str) for value in axis['values']):
        wrapped = [fill(tick, max(6, LETTERS // len(ticks))) for tick in ticks]
        points = [(value, place) for place, value in enumerate(axis['values'])]
        return [Axis(axis['name'], points, wrapped, line=False)]
    points = [(value, value) for value in axis['values']]
    return [Axis(axis['name'], points, ticks, log=axis['log'])]


def _draw(panel: Any, report: dict[str, Any], metric: dict[str, Any], axis: Axis) -> None:
    arms = report['arms']
    dodge = min(DODGE, GROUP / len(arms))
    for index, arm in enumerate(arms):
        shift = 0 if axis.line else dodge * (index - (len(arms) - 1) / 2)
        points = [
            (place + shift, estimate([*found.values()]))
            for value, place in axis.points
            if (found := select(report['runs'], arm, value, metric['key']))
        ]
        panel.errorbar(
            [x for x, _ in points],
            [point.mean for _, point in points],
            yerr=[_spread(point) for _, point in points],
            label=arm, marker='os^Dv'[index % 5], capsize=3,
            linestyle='-' if axis.line else 'none',
        )  # fmt: skip
    panel.set_xscale('log' if axis.log else 'linear')
    panel.set_xticks([place for _, place in axis.points], axis.ticks)
    if not axis.line:
        # Room for all arms beside each name, those that have not run yet too.
        panel.set_xlim(-0.5, len(axis.points) - 0.5)
    panel.minorticks_off()
    panel.set_xlabel(axis.name)
    panel.set_ylabel(f'{metric["name"]} ({metric["unit"]})')
    panel.grid(alpha=0.3)


def _draw_alone(panel: Any, report: dict[str, Any], metric: dict[str, Any]) -> None:
    """Arms below each other, the control's mean as a line through all of them."""
    arms, (value,) = report['arms'], report['x']['values']
    for index, arm in enumerate(arms):
        found = select(report['runs'], arm, value, metric['key'])
        if not found:
            continue
        point = estimate([*found.values()])
        panel.errorbar(point.mean, index, xerr=_spread(point), marker='o', capsize=3, color='C0')
        if arm == report['control']:
            panel.axvline(point.mean, color='0.6', linestyle='--', linewidth=1)
    panel.set_yticks(range(len(arms)), arms)
    panel.set_ylim(len(arms) - 0.5, -0.5)
    name = labels(report)[0]
    axis = name if isinstance(value, str) else f'{name} {report["x"]["name"]}'
    # Below each other: beside long names of arms a panel is narrower than both are.
    panel.set_xlabel(f'{metric["name"]} ({metric["unit"]})\n{axis}')
    panel.grid(alpha=0.3)


def _spread(point: Any) -> float:
    return 0 if math.isnan(point.std) else point.std
