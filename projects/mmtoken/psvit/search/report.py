"""What a search found, as a page and two pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmtoken.tasks.task import write_json

from .search_file import DRAWN, SEARCHED, bounds

COLORS = {'F': '#4c72b0', 'S': '#dd8452'}
# What a budget's kind is called, and in what it is shown.
KINDS = {
    'macs': (1e6, 'million multiply-adds'),
    'params': (1e6, 'million parameters'),
    'latency_ms': (1.0, 'milliseconds an image'),
}


def write_search_report(found: dict[str, Any], folder: Path) -> None:
    """Write a search's `README.md`, `results.json`, `pareto.png` and `schedules.png`.

    Args:
        found: Of `run_search`, with the `command`.
        folder: The folder; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / 'results.json', found)
    plot_pareto(found, folder / 'pareto.png')
    plot_schedules(found, folder / 'schedules.png')
    (folder / 'README.md').write_text(search_page(found))


def search_page(found: dict[str, Any]) -> str:
    """The page of a search, in Markdown."""
    metric, (kind, least, most) = found['metric'], bounds(found['budget'])
    scale, name = KINDS[kind]
    allowed = f'{least / scale:g} to {most / scale:g}' if least else f'at most {most / scale:g}'
    unit, space = metric['unit'], found['space']
    timed = kind == 'latency_ms'
    searched = 'all within it' if found['exhaustive'] else 'by evolution'
    ordered = sorted(found['retrained'], key=lambda entry: -entry['value'])
    lines = [
        f'# {found["title"]}',
        '',
        found['question'],
        '',
        '```',
        found['command'],
        '```',
        '',
        f'Of {space["schedules"]} schedules ({space["units"]} units of two layers, '
        f'{" or ".join(space["choices"])} each, stages of {", ".join(map(str, space["widths"]))} '
        f'channels) {len(found["measured"])} were measured, {searched}, by a supernet that trained '
        f'{found["supernet"]["iterations"]} iterations, one path a step; {allowed} {name}. '
        f'Measured on a fold of {found["folds"]} of the training set, which none trained on: '
        'neither the supernet nor what was retrained from nothing.',
        '',
        f'Found: `{found["found"]}` (F has an attention map of its own, S shares that of the layer '
        'before, tokens are pooled at each bar). The space, the search and all figures are our '
        'design; the paper says that both are searched, not how.',
        '',
        '![Accuracy over multiply-adds](pareto.png)',
        '',
        '![The schedules that were retrained](schedules.png)',
        '',
        f'| retrained | schedule | {metric["name"]} ({unit}) | by the supernet | multiply-adds | '
        'parameters |' + ' an image |' * timed,
        '| :--- | :--- | ---: | ---: | ---: | ---: |' + ' ---: |' * timed,
    ]
    lines += [
        f'| {entry["name"]} | {_code(entry["schedule"])} | {entry["value"]:.1f} | '
        f'{"" if entry["measured"] is None else format(entry["measured"], ".1f")} | '
        f'{entry["macs"] / 1e6:.1f} M | {entry["params"] / 1e6:.2f} M |'
        + (f' {entry["price"]:.1f} ms |' if timed else '')
        for entry in ordered
    ]
    drawn = [entry for entry in found['retrained'] if entry['name'].startswith(DRAWN)]

    def mean(what: str, entries: list[dict[str, Any]]) -> float:
        return sum(entry[what] for entry in entries) / len(entries)

    if drawn:
        lines += [
            '',
            f'What chance drew has {mean("value", drawn):.1f} on average, at '
            f'{mean("macs", drawn) / 1e6:.1f} M multiply-adds. What was found was '
            'chosen by the figure that stands here, which flatters it: a study of it and of what '
            'chance draws, on the test set and over several seeds, has to say if it is better.',
        ]
    rank = found['rank_correlation']
    if rank is not None:
        lines += ['', f'Rank correlation (Spearman) of the two columns of figures: {rank:.2f}.']
    versions = ', '.join(f'{n} {v}' for n, v in found['environment']['versions'].items())
    lines += [
        '',
        f'One training of each, seed {found["seed"]}, on {found["environment"]["processor"]} '
        f'({versions}; commit {found["environment"]["commit"]}). Every schedule is in '
        '[results.json](results.json).',
        '',
    ]
    return '\n'.join(lines)


def plot_pareto(found: dict[str, Any], path: Path) -> None:
    """Draw accuracy over multiply-adds, and over what the budget is of, by the supernet and
    retrained.

    Args:
        found: As of `write_search_report`.
        path: The picture.
    """
    pyplot = _pyplot()
    kinds = dict.fromkeys(['macs', *found['budget']])
    size = (10, 4 * len(kinds))
    figure, rows = pyplot.subplots(len(kinds), 2, figsize=size, squeeze=False, layout='constrained')
    for kind, (left, right) in zip(kinds, rows, strict=True):
        _draw_costs(found, kind, left, right)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw_costs(found: dict[str, Any], kind: str, left: Any, right: Any) -> None:
    """Draw what was measured and what was retrained over a kind of cost."""
    metric, measured = found['metric'], found['measured']
    scale, name = KINDS[kind]

    def points(entries: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
        costs = [_cost(entry, kind) / scale for entry in entries]
        return costs, [entry['value'] for entry in entries]

    left.scatter(*points(measured), s=14, color='0.6', label='every schedule measured')
    costs, values = points(_front(measured, kind))
    most = max(points(measured)[0])
    left.plot(
        [*costs, most], [*values, values[-1]],
        drawstyle='steps-post', color='0.2', label='best up to this cost',
    )  # fmt: skip
    left.set_title('by the supernet')
    kinds = {SEARCHED: 'C3', DRAWN: 'C0', '': 'C2'}
    for start, color in kinds.items():
        some = [
            entry for entry in found['retrained']
            if (entry['name'].startswith(start) if start else entry['schedule'] is None)
        ]  # fmt: skip
        right.scatter(*points(some), color=color, label=start or 'baseline', zorder=3)
        for entry in some if not start else ():
            place = (_cost(entry, kind) / scale, entry['value'])
            right.annotate(entry['name'], place, (5, 3), textcoords='offset points', fontsize=8)
    right.set_title('retrained from nothing')
    for panel in (left, right):
        panel.set_xlabel(name)
        panel.set_ylabel(f'{metric["name"]} on held-out images ({metric["unit"]})')
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, fontsize=8)


def plot_schedules(found: dict[str, Any], path: Path) -> None:
    """Draw the retrained schedules, best first: a box a layer, as high as its stage's tokens.

    Args:
        found: As of `write_search_report`.
        path: The picture.
    """
    pyplot = _pyplot()
    drawn = [entry for entry in found['retrained'] if entry['schedule']]
    drawn.sort(key=lambda entry: -entry['value'])
    figure, panel = pyplot.subplots(
        figsize=(1.5 + 0.45 * 2 * found['space']['units'], 0.5 + 0.42 * len(drawn)),
        layout='constrained',
    )
    for row, entry in enumerate(drawn):
        layer = 0
        for stage, letters in enumerate(entry['schedule'].split('|')):
            height = 0.86 * 0.62**stage
            for letter in letters:
                panel.bar(
                    layer, height, 0.92, -row - height / 2, color=COLORS[letter], align='edge'
                )
                panel.text(
                    layer + 0.46, -row, letter, ha='center', va='center', color='w', fontsize=8
                )
                layer += 1
    values = [f'{entry["name"]}  {entry["value"]:.1f}' for entry in drawn]
    panel.set_yticks([-row for row in range(len(drawn))], values)
    panel.set_xticks([])
    for side in panel.spines.values():
        side.set_visible(False)
    panel.tick_params(length=0)
    widths = ', '.join(map(str, found['space']['widths']))
    what = '{name} ({unit})'.format(**found['metric'])
    legend = f'F full, S shares; lower boxes: pooled (widths {widths})'
    panel.set_title(f'{what}; {legend}', fontsize=9)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _cost(entry: dict[str, Any], kind: str) -> float:
    """What a schedule costs of a kind; what is timed is a budget's alone."""
    return entry['price' if kind == 'latency_ms' else kind]


def _front(measured: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The schedules that no cheaper one matches, cheapest first."""
    front: list[dict[str, Any]] = []
    for entry in sorted(measured, key=lambda entry: (_cost(entry, kind), -entry['value'])):
        if not front or entry['value'] > front[-1]['value']:
            front.append(entry)
    return front


def _code(text: str | None) -> str:
    # A bar would end the cell.
    return '' if text is None else f'`{text}`'.replace('|', '\\|')


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot
