"""The page and the pictures of a search."""

import json

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from mmtoken.psvit.search.report import _front, plot_pareto, write_search_report

FULL = dict(price=3e6, macs=3e6, params=2e5)
SHARING = dict(price=2e6, macs=2e6, params=1e5)
FOUND = dict(
    title='A search', question='Does it find?', command='python tools/search.py a.py',
    metric=dict(key='accuracy/top1', name='top-1', unit='%'), budget=dict(macs=4e6),
    space=dict(units=2, widths=[12, 24], num_heads=[2, 3], choices=['FF', 'FS'], schedules=4),
    supernet=dict(iterations=3), folds=4, seed=0, exhaustive=True,
    measured=[
        dict(schedule='FF|FF', value=50.0, **FULL),
        dict(schedule='FS|FS', value=40.0, **SHARING),
    ],
    retrained=[
        dict(name='searched 1', value=61.25, schedule='FF|FF', measured=50.0, **FULL),
        dict(name='random 1', value=70.0, schedule='FS|FS', measured=40.0, **SHARING),
        dict(name='DeiT', value=55.0, schedule=None, measured=None, **FULL),
    ],
    found='FF|FF', rank_correlation=-1.0,
    environment=dict(versions=dict(torch='2'), processor='CPU', commit='abc'),
)  # fmt: skip


def test_the_report_shows_what_was_measured(tmp_path):
    write_search_report(FOUND, tmp_path)

    page = (tmp_path / 'README.md').read_text()
    rows = [line for line in page.splitlines() if line.startswith('| ') and '---' not in line]
    assert [row.split(' | ')[0] for row in rows[1:]] == ['| random 1', '| searched 1', '| DeiT']
    assert r'| searched 1 | `FF\|FF` | 61.2 | 50.0 | 3.0 M | 0.20 M |' in page
    assert 'Found: `FF|FF`' in page and '(Spearman) of the two columns of figures: -1.00' in page
    assert json.loads((tmp_path / 'results.json').read_text()) == FOUND
    assert 'What chance drew has 70.0 on average, at 2.0 M multiply-adds.' in page
    assert 'one path a step; at most 4 million multiply-adds.' in page
    for picture in ('pareto.png', 'schedules.png'):
        assert matplotlib.image.imread(tmp_path / picture).std() > 0.05


@pytest.mark.parametrize(
    ('budget', 'axes'),
    [
        (dict(macs=4e6), ['million multiply-adds']),
        (dict(params=2e6), ['million multiply-adds', 'million parameters']),
        (dict(latency_ms=9), ['million multiply-adds', 'milliseconds an image']),
    ],
)
def test_the_picture_has_multiply_adds_and_what_the_budget_is_of(
    tmp_path, monkeypatch, budget, axes
):
    drawn = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, *_, **__: drawn.append(self))

    costlier = dict(schedule='FF|FS', value=30.0, price=9.0, macs=3.5e6, params=3e5)
    found = dict(FOUND, budget=budget, measured=[*FOUND['measured'], costlier])

    plot_pareto(found, tmp_path / 'pareto.png')

    panels = drawn[0].axes
    assert [panel.get_xlabel() for panel in panels[::2]] == axes
    (line,) = panels[0].lines
    assert [*zip(*line.get_data(), strict=True)] == [(2.0, 40.0), (3.0, 50.0), (3.5, 50.0)]


def test_the_front_has_what_nothing_cheaper_matches():
    points = [(3, 50.0), (1, 40.0), (2, 40.0), (2, 45.0), (4, 49.0), (5, 60.0)]

    front = _front([dict(macs=macs, value=value) for macs, value in points], 'macs')

    assert [(e['macs'], e['value']) for e in front] == [(1, 40.0), (2, 45.0), (3, 50.0), (5, 60.0)]


def test_a_budget_of_latency_is_shown_as_such(tmp_path):
    entries = [dict(entry, price=12.5) for entry in FOUND['retrained']]
    found = dict(FOUND, budget=dict(latency_ms=20), retrained=entries)

    write_search_report(found, tmp_path)

    page = (tmp_path / 'README.md').read_text()
    assert '| parameters | an image |' in page and page.count('| 12.5 ms |') == 3
