"""What a scoreboard reports: the table, its marks, the picture."""

import pytest
from matplotlib import pyplot

from mmtoken.experiments.estimate import Estimate
from mmtoken.experiments.scoreboard_plot import plot
from mmtoken.experiments.scoreboard_report import markdown
from mmtoken.experiments.scoreboard_results import stands

SPREAD = {'median': 1.25, 'low': 1.2, 'high': 1.5}


def cell(row: str, seed: int, top1: float) -> dict:
    """One cell."""
    return {
        'arm': row, 'x': 'classification', 'seed': seed, 'metrics': {'top1': top1, 'top5': 99.0},
        'seconds': 60.0, 'commit': 'abc', 'processor': 'CPU', 'versions': {'torch': '2'},
    }  # fmt: skip


def make_results(cells: list[dict], speed: dict | None = None, stride: int = 8) -> dict:
    """A board with one stage and two rows."""
    costs = {'params': 710_000, 'macs': 49_600_000, 'shape': [64, 64], 'digest': 'd'}
    metrics = [
        {'key': 'top1', 'name': 'top-1', 'unit': '%', 'report': 'table'},
        {'key': 'top5', 'name': 'top-5', 'unit': '%', 'report': 'detail'},
    ]
    stage = {'iterations': 1000, 'batch': 32, 'scenes': None, 'config': None, 'metrics': metrics}
    return {
        'title': 'Scoreboard', 'question': 'Which?', 'command': 'python scoreboard.py',
        'date': '2026-01-01', 'control': 'Flat', 'seeds': sorted({c['seed'] for c in cells}),
        'limits': ['Nothing of the moon.'], 'stages': {'classification': stage},
        'rows': [
            {'name': 'Flat', 'against': 'Flat', 'stride': 8, **costs},
            {'name': 'Deep', 'against': 'Flat', 'stride': stride, **costs},
        ],
        'speed': speed, 'cells': cells,
    }  # fmt: skip


def make_speed(digest: str) -> dict:
    """What was timed of the two rows."""
    about = {'processor': 'CPU', 'versions': {}, 'threads': 2, 'rounds': 30, 'date': '2026-01-01'}
    train = {'batch': 32, 'ratios': [{'row': row, **SPREAD} for row in ('Flat', 'Deep')]}
    infer = {'batch': 32, 'rows': [{'name': row, 'median': 0.02} for row in ('Flat', 'Deep')]}
    return {
        'train': {'cases': [train], **about},
        'infer': {'cases': [infer], **about},
        'digests': {'Flat': 'd', 'Deep': digest},
    }


def line(results: dict, start: str) -> str:
    """The line of the Markdown that starts so."""
    text = markdown(results, 'board.png')
    return next(found for found in text.splitlines() if found.startswith(start))


THREE = [
    *(cell('Flat', seed, 20.0 + 4 * seed) for seed in range(3)),
    *(cell('Deep', seed, 25.0 + 4 * seed + 0.1 * (seed == 1)) for seed in range(3)),
]


def test_configs_of_a_row_alone_stand_under_the_budget():
    results = make_results(THREE)
    assert 'of their own' not in markdown(results, 'board.png')
    results['rows'][1]['detection'] = 'configs/own.py'
    assert line(results, '- *Deep*') == '- *Deep*: `configs/own.py`'


def test_row_says_mean_interval_and_costs():
    # mean 24, std 4, t(0.975, 2) = 4.3027: 4.3027 * 4 / sqrt(3) = 9.94
    assert line(make_results(THREE), '| Flat') == (
        '| Flat | 24.0 ± 9.9 | 0.71 M | 49.6 M | – | – |'
    )


def test_difference_that_stands_is_marked_though_the_intervals_overlap():
    assert line(make_results(THREE), '| Deep |').startswith('| Deep | 29.0 ± 9.9 ▲ |')
    assert line(make_results(THREE), '| Deep −') == '| Deep − Flat | +5.0 [+4.9, +5.2] ▲ |'


def test_worse_row_is_marked_so():
    cells = [cell(c['arm'], c['seed'], -c['metrics']['top1']) for c in THREE]
    assert '▼' in line(make_results(cells), '| Deep |')


@pytest.mark.parametrize(
    ('found', 'stood'),
    [
        (Estimate(1.0, 0.1, 0.5, 3), True),
        (Estimate(-1.0, 0.1, 0.5, 3), True),
        (Estimate(0.4, 0.1, 0.5, 3), False),
        (Estimate(1.0, 0.1, 0.5, 2), False),
        (None, False),
    ],
    ids=['better', 'worse', 'holds zero', 'two seeds', 'none'],
)
def test_difference_stands_where_three_seeds_leave_zero_out(found, stood):
    assert stands(found) == stood


def test_row_of_fewer_seeds_says_so():
    assert '| 25.0 (1 seed) |' in line(make_results(THREE[:4]), '| Deep |')
    assert '(2 seeds)' in line(make_results(THREE[:5]), '| Deep |')


def test_row_without_cells_is_empty():
    assert line(make_results(THREE[:3]), '| Deep |').startswith('| Deep | – |')


def test_cells_that_are_missing_are_counted():
    assert '5 of 6 cells' in markdown(make_results(THREE[:5]), 'board.png')


def test_detail_has_no_column():
    assert 'top-5' not in markdown(make_results(THREE), 'board.png')


def test_timed_row_says_ratio_with_its_spread_and_images():
    assert line(make_results(THREE, make_speed('d')), '| Deep |').endswith(
        '| ×1.25 (1.20–1.50) | 1,600 |'
    )


def test_row_that_was_timed_as_another_model_is_not_told_as_timed():
    results = make_results(THREE, make_speed('other'))
    assert line(results, '| Deep |').endswith('| – | – |')
    assert line(results, '- Not timed') == '- Not timed as they now are: Deep.'


def test_board_that_was_not_timed_says_so():
    assert 'not been timed yet' in line(make_results(THREE), '- **Training step')


def test_patches_of_another_size_are_said():
    assert 'larger than 8 px in *Deep*' in line(make_results(THREE, stride=16), '- **The probe')
    assert 'larger than' not in markdown(make_results(THREE), 'board.png')


def test_limits_and_date_are_said():
    text = markdown(make_results(THREE), 'board.png')
    assert '- Nothing of the moon.' in text and '2026-01-01' in text


def test_picture_has_a_panel_for_each_measure_and_a_place_for_each_row(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pyplot, 'close', figures.append)
    plot(make_results(THREE), tmp_path / 'board.png')
    (panel,) = figures[0].axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ['Flat', 'Deep']
    assert (tmp_path / 'board.png').exists()
