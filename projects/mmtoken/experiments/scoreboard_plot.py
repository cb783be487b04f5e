"""The picture of a scoreboard: a panel for each measure, the same rows in all of them."""

from math import isnan
from pathlib import Path
from typing import Any

from mmtoken.experiments.estimate import estimate
from mmtoken.experiments.scoreboard_results import difference, measures, stands, values

# Better than the row that it is compared with, worse, neither for certain.
STYLES = {
    1: dict(color='#0a7d4b', marker='^', label='better than the row it is compared with'),
    -1: dict(color='#b5401f', marker='v', label='worse'),
    0: dict(color='0.45', marker='o', label='not told apart, or compared with none'),
}
BASE = dict(color='0.6', linewidth=0.8)


def plot(results: dict[str, Any], path: Path) -> None:
    """Draw the means with their 95 % intervals, and every seed.

    Args:
        results: The content of the scoreboard's JSON.
        path: The picture to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    columns, rows = list(measures(results)), results['rows']
    figure, axes = pyplot.subplots(
        1,
        len(columns),
        figsize=(2 + 2.1 * len(columns), 1.6 + 0.3 * len(rows)),
        sharey=True,
        squeeze=False,
        layout='constrained',
    )
    for panel, measure in zip(axes[0], columns, strict=True):
        for place, row in enumerate(rows):
            found = values(results, row['name'], measure)
            if found:
                _draw(panel, place, list(found.values()), _verdict(results, row, measure))
        base = values(results, results['control'], measure)
        if base:
            panel.axvline(estimate(list(base.values())).mean, **BASE, zorder=0)
        panel.set_title(f'{measure[1]["name"]} ({measure[1]["unit"]})', fontsize=9)
        panel.grid(axis='x', alpha=0.3)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.12)
    first = axes[0][0]
    first.set_yticks(range(len(rows)), [row['name'] for row in rows], fontsize=9)
    first.set_ylim(len(rows) - 0.5, -0.5)
    handles = [pyplot.Line2D([], [], **style) for style in STYLES.values()]
    handles.append(pyplot.Line2D([], [], **BASE, label=f'mean of {results["control"]}'))
    figure.legend(handles=handles, loc='outside lower center', ncols=4, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw(panel: Any, place: int, found: list[float], verdict: int) -> None:
    about, style = estimate(found), STYLES[verdict]
    panel.plot(found, [place] * len(found), '|', color=style['color'], alpha=0.6, markersize=6)
    margin = 0 if isnan(about.margin) else about.margin
    panel.errorbar(about.mean, place, xerr=margin, capsize=3, **style)


def _verdict(results: dict[str, Any], row: dict[str, Any], measure: tuple) -> int:
    """1 better, -1 worse, 0 neither for certain."""
    found = difference(results, row, measure)
    return 0 if not stands(found) else 1 if found.mean > 0 else -1
