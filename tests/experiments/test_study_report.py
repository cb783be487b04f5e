"""What a study reports: statistics over seeds, the table, the plot."""

import math

import pytest
from matplotlib import pyplot

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


def test_plot_has_a_panel_for_each_main_metric(detailed, tmp_path, monkeypatch):
    shapes = []
    subplots = pyplot.subplots
    monkeypatch.setattr(
        pyplot,
        'subplots',
        lambda *shape, **rest: (shapes.append(shape), subplots(*shape, **rest))[1],
    )
    plot(detailed, tmp_path / 'plot.png')
    assert shapes == [(1, 1)]


def test_a_legend_of_many_long_names_is_whole(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pyplot, 'close', figures.append)
    names = [f'first one thing, then another, {number}' for number in range(10)]
    runs = [entry(name, x, seed, 1.0) for name in names for x in (100, 1500) for seed in (0, 1)]
    report = make_report(runs)
    report.update(arms=names, control=names[0])

    plot(report, tmp_path / 'plot.png')

    (figure,) = figures
    (legend,) = figure.legends
    room, taken = figure.bbox, legend.get_window_extent()
    assert room.x0 <= taken.x0 and taken.x1 <= room.x1
    assert room.y0 <= taken.y0 and taken.y1 < figure.axes[0].get_window_extent().y0


def test_names_stand_within_the_plot_where_some_arms_have_not_run(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pyplot, 'close', figures.append)
    names = [f'arm {number}' for number in range(10)]
    report = make_report([entry(names[0], x, 0, 1.0) for x in ('this', 'that')])
    report.update(arms=names, control=names[0])
    report['x'].update(values=['this', 'that'], labels=['this', 'that'], log=False)

    plot(report, tmp_path / 'plot.png')

    (panel,) = figures[0].axes
    assert panel.get_xlim() == (-0.5, 1.5)
    # The first of ten, beside its name and not beside the one before.
    places = [line.get_xdata()[0] for line in panel.lines if len(line.get_xdata())]
    assert -0.5 < min(places) < -0.3


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


def runs_of(arm: str, values: dict[int, float]) -> list[dict]:
    """An arm's entries at x = 100, one for each seed."""
    return [entry(arm, 100, seed, value) for seed, value in values.items()]


def test_runs_from_unlike_weights_of_one_file_are_no_pair():
    flat, deep = (
        runs_of('Flat', {0: 10.0, 1: 10.0, 2: 10.0}),
        runs_of('Deep', {0: 11.0, 1: 12.0, 2: 30.0}),
    )
    for run in flat + deep:
        run['inputs'] = {f'base_seed{run["seed"]}.pth': 'a', f'{run["arm"]}.pth': run['arm']}
    report = make_report(flat + deep)
    assert '| 10.0 ± 0.0 | 17.7 ± 10.7 | +7.7 ' in markdown(report)
    assert 'same weights' not in markdown(report)
    deep[2]['inputs']['base_seed2.pth'] = 'b'
    assert '| 10.0 ± 0.0 | 17.7 ± 10.7 | +1.5 ' in markdown(report)
    assert 'Pairs left out, since their runs did not start from the same weights: 1.' in markdown(
        report
    )
    detailed = report | {
        'metrics': [*report['metrics'], {**report['metrics'][0], 'report': 'detail'}]
    }
    assert '17.7, +1.5 [' in markdown(detailed)


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


def test_report_names_every_commit_that_runs_are_of():
    runs = [
        {**entry('Flat', 100, seed, 50.0), 'commit': commit}
        for seed, commit in enumerate(('aaa', 'bbb', 'aaa'))
    ]
    assert 'commits aaa, bbb, ' in markdown(make_report(runs))


def test_incomplete_study_says_so():
    runs = [entry('Flat', 100, 0, 50.0)]
    report = make_report(runs)
    assert 'So far 1 of 12 runs are finished' in markdown(report)
    complete = report | {'arms': ['Flat'], 'seeds': [0], 'x': {**report['x'], 'values': [100]}}
    assert 'So far' not in markdown(complete)


def test_many_arms_have_a_row_each():
    arms = ['Flat', 'Deep', 'Wide', 'High', 'Long']
    runs = [entry(arm, 100, 0, 50.0 + index) for index, arm in enumerate(arms)]
    text = markdown(make_report(runs) | {'arms': arms})
    assert '| scenes | iterations | arm | top-1 | − Flat |' in text
    assert '| 100 | 10 | Flat | 50.0 |  |' in text
    assert '|  |  | Long | 54.0 | +4.0 |' in text


@pytest.fixture
def detailed():
    """A report with a second metric, which is left to the table of all metrics."""
    flat = [entry('Flat', 100, seed, 50.0 + seed) for seed in range(3)]
    deep = [entry('Deep', 100, seed, 52.0 + seed) for seed in range(3)]
    for run in flat + deep:
        # Differences -1, 0, 1 of seeds 0, 1, 2: an interval around zero.
        run['metrics']['loss'] = run['seed'] - 1.0 if run['arm'] == 'Deep' else 0.0
    report = make_report(flat + deep)
    report['metrics'] += [{'key': 'loss', 'name': 'loss', 'unit': 'nats', 'report': 'detail'}]
    report['x'] = {'name': 'cell', 'log': False, 'values': ['few'], 'labels': ['few scenes']}
    for run in report['runs']:
        run['x'] = 'few'
    return report


def test_arms_may_be_compared_with_others_than_the_control():
    names, tops = ['A', 'A+', 'B', 'B+', 'C'], [10.0, 12.0, 20.0, 25.0, 30.0]
    runs = [entry(name, 100, seed, top + seed) for name, top in zip(names, tops, strict=True)
            for seed in (0, 1)]  # fmt: skip
    report = make_report(runs) | dict(arms=names, control='A', seeds=[0, 1], against={'B+': 'B'})
    report['x'] = {'name': 'scenes', 'log': False, 'values': [100]}

    rows = [line for line in markdown(report).splitlines() if line.startswith('|')]

    assert rows[0].endswith('| arm | top-1 | difference | from |')
    assert rows[2].endswith('| A | 10.5 ± 0.7 |  |  |')
    assert rows[4].endswith('| B | 20.5 ± 0.7 | +10.0 [+10.0, +10.0] | A |')
    assert rows[5].endswith('| B+ | 25.5 ± 0.7 | +5.0 [+5.0, +5.0] | B |')
    few = dict(report, arms=['A', 'B', 'B+'])
    assert '| B+ | B+ − B |' in markdown(few)


def test_detail_has_no_table_of_its_own(detailed):
    text = markdown(detailed)
    assert '## top-1 (%)' in text and '## loss' not in text


def test_all_metrics_of_an_x_are_in_one_table_with_clear_differences_bold(detailed):
    text = markdown(detailed)
    assert '### cell: few scenes' in text
    assert '| top-1 (%) | 51.0 | 53.0, **+2.0** [+2.0, +2.0] |' in text
    assert '| loss (nats) | 0.0 | 0.0, +0.0 [-2.5, +2.5] |' in text


def test_study_without_details_has_no_table_of_all_metrics():
    assert '## All metrics' not in markdown(make_report([entry('Flat', 100, 0, 50.0)]))


@pytest.fixture
def tuned():
    """A report of a study whose arms were tuned at 100, with two candidates."""
    runs = [entry('Flat', x, 0, 50.0) | {'candidate': 'fast'} for x in (100, 1500)]
    report = make_report(runs)
    report['sweep'] = {
        'candidates': [{'name': 'slow', 'options': {}}, {'name': 'fast', 'options': {}}],
        'seeds': [7], 'x': [100], 'metric': 'top1', 'options': {}, 'iterations': None,
        'choices': [{'arm': 'Flat', 'x': 100, 'candidate': 'fast'}],
        'points': [{'x': 100, 'as': 100}, {'x': 1500, 'as': 100}],
        'runs': [
            entry('Flat', 100, 7, 41.0) | {'candidate': 'slow'},
            entry('Flat', 100, 7, 42.0) | {'candidate': 'fast'},
        ],
    }  # fmt: skip
    return report


def test_page_shows_what_every_arm_reached_with_every_candidate(tuned):
    text = markdown(tuned)
    assert '| candidate | Flat | Deep |' in text
    assert '| slow | 41.0 | – |' in text and '| fast | **42.0** | – |' in text


def test_page_says_where_a_choice_is_used(tuned):
    assert 'Used also at 1,500.' in markdown(tuned)


def test_page_counts_what_tuning_cost(tuned):
    assert '2 runs and 2 to tune them, 4 minutes' in markdown(tuned)


def test_page_names_every_machine():
    runs = [entry('Flat', 100, seed, 50.0) | {'processor': name} for seed, name in enumerate('AB')]
    assert 'on A and B (' in markdown(make_report(runs))


@pytest.mark.parametrize('values', [(100, 1500), (100,), ('few, long', 'many'), ('few',)])
def test_plot_is_a_picture(tmp_path, values):
    runs = [entry(arm, x, seed, 50.0 + seed) for arm in ('Flat', 'Deep') for x in values
            for seed in range(2)]  # fmt: skip
    report = make_report(runs)
    report['x'] |= {'values': list(values), 'labels': [str(value) for value in values]}
    plot(report, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that are drawn, with their panels."""
    figures, subplots = [], pyplot.subplots
    monkeypatch.setattr(
        pyplot,
        'subplots',
        lambda *shape, **rest: (figures.append(subplots(*shape, **rest)), figures[-1])[1],
    )
    return figures


def test_every_curve_has_a_panel_for_each_main_metric(tmp_path, figures):
    names = ['few, short', 'few, long', 'many, long']
    runs = [entry('Flat', x, 0, 50.0 + i) for i, x in enumerate(names)]
    report = make_report(runs)
    report['x'] |= {
        'values': names,
        'labels': names,
        'curves': [
            {'name': 'scenes', 'log': True, 'points': [[names[1], 30], [names[2], 1500]]},
            {'name': 'iterations', 'log': False, 'points': [[names[0], 300], [names[1], 600]]},
        ],
    }

    plot(report, tmp_path / 'plot.png')

    ((_, panels),) = figures
    (scenes, iterations) = panels[0]
    assert [line.get_xydata().tolist() for line in scenes.lines[:1]] == [[[30, 51], [1500, 52]]]
    assert [line.get_xydata().tolist() for line in iterations.lines[:1]] == [[[300, 50], [600, 51]]]
    assert (scenes.get_xlabel(), scenes.get_xscale()) == ('scenes', 'log')
    assert [text.get_text() for text in scenes.get_xticklabels()] == ['30', '1,500']


def test_arms_at_one_x_stand_below_each_other(tmp_path, figures):
    report = make_report([entry('Flat', 100, 0, 50.0), entry('Deep', 100, 0, 60.0)])
    report['x']['values'] = [100]

    plot(report, tmp_path / 'plot.png')

    ((_, panels),) = figures
    assert [text.get_text() for text in panels[0][0].get_yticklabels()] == ['Flat', 'Deep']
    assert panels[0][0].get_xlabel() == 'top-1 (%)\n100 scenes'


def test_below_arms_of_long_names_what_is_measured_is_not_cut_off(tmp_path, figures):
    arms, x = ['blank', 'token, then dimension, automatic'], '100 scenes, 600 its'
    keys = ['box AP', 'mask AP']
    report = make_report(
        [entry(arm, x, 0, 50.0) | {'metrics': dict.fromkeys(keys, 50.0)} for arm in arms]
    ) | {
        'arms': arms, 'control': arms[0],
        'metrics': [{'key': key, 'name': key, 'unit': '%'} for key in keys],
        'x': {'name': 'scenes and iterations', 'log': False, 'values': [x], 'labels': [x]},
    }  # fmt: skip

    plot(report, tmp_path / 'plot.png')

    ((figure, panels),) = figures
    for panel in panels.flat:
        label = panel.xaxis.label.get_window_extent()
        assert figure.bbox.x0 <= label.x0 and label.x1 <= figure.bbox.x1, label
