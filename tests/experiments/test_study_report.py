"""What a study reports: statistics over seeds, the table, the plot."""

import math

import pytest

from mmtoken.experiments.estimate import estimate
from mmtoken.experiments.study_plot import plot
from mmtoken.experiments.study_report import markdown
from mmtoken.experiments.study_values import paired_difference


def entry(arm: str, x: int, seed: int, top1: float, iterations: int = 10) -> dict:
    """One run as results.json holds it."""
    return {
        'arm': arm, 'x': x, 'seed': seed, 'metrics': {'top1': top1}, 'iterations': iterations,
        'seconds': 60.0,
    }  # fmt: skip


def make_report(runs: list[dict]) -> dict:
    """A report with two arms and two x values."""
    return {
        'title': 'Depth', 'question': 'Does depth help?',
        'command': 'python study.py', 'runs': runs,
        'metrics': [{'key': 'top1', 'name': 'top-1', 'unit': '%'}], 'date': '2026-01-01',
        'x': {'name': 'scenes', 'log': True, 'values': [100, 1500]}, 'arms': ['Flat', 'Deep'],
        'control': 'Flat', 'seeds': [0, 1, 2], 'workers': 2,
        'environment': {'versions': {'torch': '2'}, 'processor': 'CPU', 'commit': 'abc'},
    }  # fmt: skip


def test_estimate_equals_hand_computation():
    found = estimate([2.0, 4.0, 9.0])
    # mean 5, squares 9 + 1 + 16 = 26, std sqrt(13), t(0.975, 2) = 4.302653
    assert found.mean == 5.0
    assert found.std == pytest.approx(math.sqrt(13))
    assert found.margin == pytest.approx(4.302653 * math.sqrt(13 / 3), rel=1e-6)


def test_one_measurement_has_no_spread():
    found = estimate([3.0])
    assert found.mean == 3.0 and math.isnan(found.std) and math.isnan(found.margin)


def test_difference_pairs_by_seed():
    found = paired_difference({0: 12.0, 1: 23.0, 3: 99.0}, {1: 20.0, 0: 11.0, 2: 0.0})
    # differences 1 and 3: std sqrt(2), t(0.975, 1) = 12.7062
    assert (found.mean, found.count) == (2.0, 2)
    assert found.margin == pytest.approx(12.7062, rel=1e-5)


def test_no_common_seed_gives_no_difference():
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_table_text():
    flat = [entry('Flat', 100, seed, 50.0 + seed) for seed in range(3)]
    deep = [entry('Deep', 100, seed, 52.0 + 2 * seed) for seed in range(3)]
    text = markdown(make_report(flat + deep + [entry('Flat', 1500, 0, 80.0, 1200)]))
    assert '| scenes | iterations | Flat | Deep | Deep − Flat |' in text
    assert '| 100 | 10 | 51.0 ± 1.0 | 54.0 ± 2.0 | +3.0 [+0.5, +5.5] |' in text
    assert '| 1,500 | 1,200 | 80.0 | – | – |' in text


def test_report_names_command_and_environment():
    text = markdown(make_report([entry('Flat', 100, 0, 50.0)]))
    assert 'python study.py' in text and 'torch 2' in text and 'commit abc' in text


@pytest.mark.parametrize('values', [(100, 1500), (100,)])
def test_plot_is_a_picture(tmp_path, values):
    runs = [entry(arm, x, seed, 50.0 + seed) for arm in ('Flat', 'Deep') for x in values
            for seed in range(2)]  # fmt: skip
    report = make_report(runs)
    report['x']['values'] = list(values)
    plot(report, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')
