"""docs/weights.md has a row for every model that the tests compare, and no others.

Its figures are measured and written by
``MMTOKEN_WRITE_WEIGHTS_TABLE=1 python -m pytest tests/convert/test_weights_table.py``.
"""

import os

import test_clip_outputs
import test_paper_layouts
import test_recorded_logits
import test_timm_outputs
import test_transformers_outputs
from weights_table import WRITE, written_rows
from weights_table import write_table as write

ROWS = [
    *test_timm_outputs.rows(),
    *test_transformers_outputs.rows(),
    *test_paper_layouts.rows(),
    *test_recorded_logits.rows(),
    *test_clip_outputs.rows(),
]


def test_the_table_has_a_row_for_every_comparison():
    if os.environ.get(WRITE):
        write(ROWS)

    assert [tuple(cells[:2]) for cells in written_rows()] == [row.key for row in ROWS]


def test_no_difference_of_the_table_is_above_what_is_tested():
    figures = [cell for cells in written_rows() for cell in cells[3:5] if cell != '-']

    assert figures and all(float(figure) <= 1e-5 for figure in figures)
