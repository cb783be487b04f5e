"""The table of docs/weights.md: what was compared with what, and how far apart they were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / 'docs' / 'weights.md'
# The environment variable that has the test write the table.
WRITE = 'MMTOKEN_WRITE_WEIGHTS_TABLE'
HEAD = ('weights of', 'computed by', 'compared', 'at the training size', 'at others', 'version')
TOKENS = 'tokens before the first and after every layer'


@dataclass(frozen=True)
class Row:
    """One model of another project, and ours with its weights.

    Args:
        weights: Whose weights have its layout.
        source: What computed the tokens that ours were compared with.
        measure: Returns the largest difference at the training size, and at other ones; None where
            the other project knows one size, or only one was recorded.
        version: Of what computed them.
        compared: What was compared.
    """

    weights: str
    source: str
    measure: Callable[[], tuple[float, float | None]]
    version: str
    compared: str = TOKENS

    @property
    def key(self) -> tuple[str, str]:
        """What the row is known by."""
        return self.weights, self.source

    def written(self) -> str:
        """The row with its figures, which are measured."""
        figures = [_rounded(figure) for figure in self.measure()]
        return _line((*self.key, self.compared, *figures, self.version))


def write_table(rows: Iterable[Row]) -> None:
    """Measure and write all rows into the document, in the place of those that are there."""
    lines = DOCUMENT.read_text('utf-8').splitlines()
    start = lines.index(_line(HEAD))
    rest = next((i for i, line in enumerate(lines) if i > start and line[:1] != '|'), None)
    table = [lines[start], '|' + '---|' * len(HEAD), *(row.written() for row in rows)]
    after = [] if rest is None else lines[rest:]
    DOCUMENT.write_text('\n'.join([*lines[:start], *table, *after]) + '\n', 'utf-8')


def written_rows() -> list[list[str]]:
    """The cells of the rows that the document has."""
    lines = DOCUMENT.read_text('utf-8').splitlines()
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if '|' in line]
    return rows[rows.index([*HEAD]) + 2 :]


def _line(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _rounded(figure: float | None) -> str:
    """To one digit, upwards: the last digits depend on the machine."""
    if figure is None:
        return '-'
    if figure == 0:
        return '0'
    exponent = math.floor(math.log10(figure))
    return f'{math.ceil(figure / 10**exponent)}e{exponent}'
