"""The picture of a study."""

import math
from pathlib import Path
from textwrap import fill
from typing import Any

from mmtoken.experiments.estimate import estimate
from mmtoken.experiments.study_values import labels, main_metrics, select

# Between two arms at one x, in steps of the axis.
DODGE = 0.12


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw each main metric over x, with error bars of one standard deviation.

    Where x is a number, one curve for each arm; where it is a name, points side by side; where x
    has one value, the arms side by side.

    Args:
        report: The content of ``results.json``.
        path: The picture to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    metrics, axis, arms = main_metrics(report), report['x'], report['arms']
    values, ticks = axis['values'], labels(report)
    alone = len(values) == 1
    named = any(isinstance(value, str) for value in values)
    figure, axes = pyplot.subplots(
        1, len(metrics), figsize=(4.8 * len(metrics), 3.8), squeeze=False, layout='constrained'
    )
    for panel, metric in zip(axes[0], metrics, strict=True):
        for index, arm in enumerate(arms):
            shift = DODGE * (index - (len(arms) - 1) / 2)
            points = [
                (index if alone else place + shift if named else value, estimate([*found.values()]))
                for place, value in enumerate(values)
                if (found := select(report['runs'], arm, value, metric['key']))
            ]
            panel.errorbar(
                [x for x, _ in points],
                [point.mean for _, point in points],
                yerr=[0 if math.isnan(point.std) else point.std for _, point in points],
                label=arm, marker='os^Dv'[index % 5], capsize=3,
                linestyle='none' if named else '-',
            )  # fmt: skip
        if alone:
            panel.set_xticks(range(len(arms)), [fill(arm, 14) for arm in arms])
            panel.set_xlim(-0.5, len(arms) - 0.5)
            panel.set_xlabel(ticks[0] if named else f'{ticks[0]} {axis["name"]}')
        else:
            panel.set_xscale('log' if axis['log'] and not named else 'linear')
            wrapped = [fill(tick, 14) for tick in ticks]
            panel.set_xticks(range(len(values)) if named else values, wrapped)
            panel.set_xlabel(axis['name'])
        panel.minorticks_off()
        panel.set_ylabel(f'{metric["name"]} ({metric["unit"]})')
        panel.grid(alpha=0.3)
    if not alone:
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc='outside lower center', ncols=4, frameon=False)
    # Titles are longer than one panel is wide, and would be cut.
    figure.suptitle(fill(report['title'], 45 * len(metrics)))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
