"""A probe's numbers for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

TITLES = {'knn': 'k nearest neighbors', 'logreg': 'logistic regression'}


def tables(report: dict[str, Any]) -> Iterator[Table]:
    """Lay a probe's numbers out: what was reached and chosen, then every class.

    Args:
        report: What `probe` returns.
    """
    rows, columns = report['grid']
    train, test = report['train'], report['test']
    summary = Table(
        'probe',
        title=f'{report["backbone"]}, {rows}x{columns} patches of {report["channels"]} channels: '
        f'{len(train["scenes"])} training and {test["scenes"]} test scenes',
    )
    for column in ('mIoU', 'accuracy', 'chosen', 'held-out mIoU'):
        summary.add_column(column, justify='right')
    for name, title in TITLES.items():
        found = report[name]
        ((option, value),) = found['chosen'].items()
        held_out = next(row['mIoU'] for row in found['tried'] if row[option] == value)
        numbers = (f'{found["mIoU"]:.2f}', f'{found["accuracy"]:.2f}')
        summary.add_row(title, *numbers, f'{option} = {value:g}', f'{held_out:.2f}')
    yield summary
    classes = Table('class', title='IoU of the test patches')
    for title in TITLES.values():
        classes.add_column(title, justify='right')
    values = zip(*(report[name]['IoU'] for name in TITLES), strict=True)
    for name, pair in zip(report['classes'], values, strict=True):
        classes.add_row(name, *('-' if value is None else f'{value:.2f}' for value in pair))
    yield classes
