"""A scoreboard as Markdown: one table, what it was compared with, and how to read it."""

from collections.abc import Iterator
from typing import Any

from mmtoken.experiments.estimate import Estimate, estimate
from mmtoken.experiments.scoreboard_costs import row_speed
from mmtoken.experiments.scoreboard_file import STAGES
from mmtoken.experiments.scoreboard_results import (
    MARKED_SEEDS,
    difference,
    measures,
    stands,
    values,
)

BETTER, WORSE = '▲', '▼'


def markdown(results: dict[str, Any], picture: str) -> str:
    """The scoreboard as Markdown.

    Args:
        results: The content of its JSON.
        picture: The picture's file name; the JSON has the same stem.

    Returns:
        The text.
    """
    lines = [f'# {results["title"]}', '', results['question'], '']
    lines += ['```', results['command'], '```', '']
    lines += [*_table(results), '']
    lines += [f'![{results["title"]}]({picture})', '']
    lines += ['## How to read it', '', *(f'- {text}' for text in _legend(results)), '']
    lines += [*_budget(results), '', *_differences(results), '']
    if results['limits']:
        lines += ['## What the figures do not say', '']
        lines += [*(f'- {text}' for text in results['limits']), '']
    return '\n'.join([*lines, _footer(results, picture)]) + '\n'


def _table(results: dict[str, Any]) -> list[str]:
    columns = list(measures(results))
    titles = [f'{metric["name"]} ({metric["unit"]})' for _, metric in columns]
    shape = 'x'.join(map(str, results['rows'][0]['shape']))
    titles += ['parameters', f'MACs at {shape}', 'training step', 'images/s']
    lines = _head(['', *titles])
    for row in results['rows']:
        cells = [row['name']]
        for measure in columns:
            mean = _mean(values(results, row['name'], measure), len(results['seeds']))
            cells.append(mean + _mark(difference(results, row, measure)))
        cells += [
            f'{row["params"] / 1e6:.2f} M',
            f'{row["macs"] / 1e6:.1f} M',
            *_speed(results, row),
        ]
        lines.append(_row(cells))
    return lines


def _mean(found: dict[int, float], expected: int) -> str:
    if not found:
        return '–'
    about = estimate(list(found.values()))
    text = f'{about.mean:.1f}' + (f' ± {about.margin:.1f}' if about.count > 1 else '')
    if about.count < expected:
        text += f' ({about.count} seed{"s" if about.count > 1 else ""})'
    return text


def _mark(found: Estimate | None) -> str:
    return f' {BETTER if found.mean > 0 else WORSE}' if stands(found) else ''


def _speed(results: dict[str, Any], row: dict[str, Any]) -> list[str]:
    speed = row_speed(results['speed'], row['name'], row['digest'])
    if speed is None:
        return ['–', '–']
    ratio = speed['ratio']
    spread = f' ({ratio["low"]:.2f}–{ratio["high"]:.2f})' * (ratio['low'] < ratio['high'])
    return [f'×{ratio["median"]:.2f}{spread}', f'{speed["images"]:,.0f}']


def _legend(results: dict[str, Any]) -> Iterator[str]:
    """What the table's figures are."""
    rows, seeds = results['rows'], ', '.join(map(str, results['seeds']))
    yield (
        f"**Mean ± half of its 95 % interval** (Student's t) over the seeds {seeds}, each "
        'measured once, on the validation images, with the last checkpoint. The interval is of '
        'what a seed decides: initial weights, order of the images, scenes drawn for '
        'fine-tuning. Of other validation images it says nothing.'
    )
    yield (
        f'**{BETTER} and {WORSE}**: better or worse than the row that it is compared with '
        f'[below](#paired-differences), where both have {MARKED_SEEDS} seeds or more in common and '
        'the 95 % interval of the paired difference leaves zero out. Runs of one seed are paired: '
        'they fine-tune on the same scenes. Where nothing differs, one place in twenty has a mark '
        'by chance. No other order among the rows is claimed.'
    )
    yield (
        '**One seed of a row** trains one classifier. Its frozen patch tokens are probed with a '
        'logistic regression, whose strength a held-out tenth of the training scenes chooses; a '
        'detector and a segmentor are fine-tuned from it. Nothing else was chosen.'
    )
    usual = next(row['stride'] for row in rows if row['name'] == results['control'])
    if unusual := [f'*{row["name"]}*' for row in rows if row['stride'] != usual]:
        yield (
            f'**The probe** counts patches, which are larger than {usual} px in '
            f'{", ".join(unusual)}: compare its figures among patches of one size alone.'
        )
    yield from _timing(results)


def _timing(results: dict[str, Any]) -> Iterator[str]:
    yield (
        '**Parameters and MACs** are of the classifier and one image, as '
        '`tools/analysis_tools/get_flops.py` counts them. What acts in training alone, as mixed '
        'images do, has no part in them.'
    )
    speed, timed = results['speed'], 'python tools/analysis_tools/scoreboard.py --speed'
    if speed is None:
        yield f'**Training step and images/s** have not been timed yet (`{timed}`).'
        return
    train, infer = speed['train'], speed['infer']
    yield (
        f"**Training step**: the classifier's (forward, loss, backward, AdamW; without loading "
        f'of images) over that of *{results["control"]}*, median of the ratios within '
        f'{train["rounds"]} rounds and their quartiles. **Images/s**: predicting, the median. '
        f'Batches of {train["cases"][0]["batch"]}, all rows in one process, in turn, '
        f'{_environment(train)}, {train["threads"]} threads, {infer["date"]} (`{timed}`).'
    )
    stale = [
        row['name']
        for row in results['rows']
        if row_speed(speed, row['name'], row['digest']) is None
    ]
    if stale:
        yield f'Not timed as they now are: {", ".join(stale)}.'


def _budget(results: dict[str, Any]) -> list[str]:
    """What every stage of every row is given."""
    lines = ['## The budget, equal for all rows', '']
    lines += _head(['stage', 'config', 'training data', 'iterations × batch'], text=(0, 1, 2))
    for name, stage in results['stages'].items():
        config = f'`{stage["config"]}`' if stage['config'] else "the row's"
        scenes = f'{stage["scenes"]:,} scenes' if stage['scenes'] else 'all images'
        steps = f'{stage["iterations"]:,} × {stage["batch"]}'
        if name == 'probe':
            config, steps = "as segmentation's", '–'
        lines.append(_row([name, config, scenes, steps]))
    own = {row['name']: [row[stage] for stage in STAGES if stage in row] for row in results['rows']}
    if any(own.values()):
        lines += ['', 'Configs of their own, since their maps do not fit those:', '']
        lines += [
            f'- *{name}*: {", ".join(f"`{config}`" for config in configs)}'
            for name, configs in own.items()
            if configs
        ]
    return lines


def _differences(results: dict[str, Any]) -> list[str]:
    """The differences behind the marks."""
    columns = list(measures(results))
    lines = ['## Paired differences', '', 'Mean over the seeds and its 95 % interval.', '']
    lines += _head(['', *(metric['name'] for _, metric in columns)])
    for row in results['rows']:
        if row['against'] == row['name']:
            continue
        cells = [f'{row["name"]} − {row["against"]}']
        for measure in columns:
            found = difference(results, row, measure)
            cells.append(_interval(found) + _mark(found))
        lines.append(_row(cells))
    return lines


def _interval(found: Estimate | None) -> str:
    if found is None:
        return '–'
    if found.count == 1:
        return f'{found.mean:+.1f}'
    low, high = found.mean - found.margin, found.mean + found.margin
    return f'{found.mean:+.1f} [{low:+.1f}, {high:+.1f}]'


def _footer(results: dict[str, Any], picture: str) -> str:
    cells, data = results['cells'], picture.removesuffix('.png') + '.json'
    expected = len(results['rows']) * len(results['stages']) * len(results['seeds'])
    number = f'{len(cells)} of {expected} cells' if len(cells) < expected else f'{expected} cells'
    environments = dict.fromkeys(map(_environment, cells))
    commits = dict.fromkeys(str(cell['commit']) for cell in cells)
    seconds = sum(cell['seconds'] for cell in cells)
    return (
        f'{number}, {seconds / 60:.0f} minutes of running in all, on '
        f'{"; and on ".join(environments)}. They come from the commits {", ".join(commits)} '
        '(`+`: with changes); a cell is repeated where its config or that of its classifier has '
        f'changed, and not for other changes of the code. Every cell, with its config and its '
        f'digest, commit, environment and seconds, is in [{data}]({data}). {results["date"]}.'
    )


def _environment(entry: dict[str, Any]) -> str:
    versions = ', '.join(f'{name} {version}' for name, version in entry['versions'].items())
    return f'{entry["processor"]} ({versions})'


def _head(columns: list[str], text: tuple[int, ...] = (0,)) -> list[str]:
    return [_row(columns), _row([':---' if i in text else '---:' for i in range(len(columns))])]


def _row(cells: list[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'
