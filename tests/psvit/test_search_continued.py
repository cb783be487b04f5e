"""A search that was interrupted goes on where it stopped, whatever it did."""

import json
from pathlib import Path

import pytest
import torch
from search_files import REPO, changed

from mmtoken.experiments.study_tasks import Place
from mmtoken.psvit.search import budget, build_space, results, runs
from mmtoken.psvit.search.configs import supernet_config
from mmtoken.tasks import launch, tool_steps

# Stand-ins for tools/train.py, which is interrupted in the run that stop.txt names, and
# tools/test.py, whose metric depends on the run.
TRAIN = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
begun = folder / 'iter_1.pth'
with open('trained.txt', 'a') as file:
    print(folder.name, 'resumed' if begun.exists() else 'begun', file=file)
if pathlib.Path('stop.txt').read_text() == folder.name and not begun.exists():
    begun.touch()
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
(folder / 'iter_2.pth').touch()
(folder / 'last_checkpoint').write_text(str(folder / 'iter_2.pth'))
"""
TEST = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1]) / '20260101_000000'
folder.mkdir(parents=True)
value = len(folder.parents[1].name)
(folder / 'metrics.json').write_text(json.dumps({'accuracy/top1': value}))
"""
TRAINED = ['supernet', *(f'{arm}_retrained_seed0' for arm in ('searched-1', 'random-1', 'deit'))]


@pytest.fixture
def timed(search, monkeypatch, hear_ctrl_c):
    """The search, of a budget of latency, with tools that train nothing; what is timed of it."""
    Path('train.py').write_text(TRAIN)
    Path('test.py').write_text(TEST)
    changed('budget = dict(latency_ms=100, _delete_=True)')
    timed = []

    def latency(model, shape):
        timed.append(model)
        return float(len(timed))

    monkeypatch.setattr(budget, 'latency', latency)
    monkeypatch.setattr(results, 'latency', lambda model, shape: 1.0)
    content = dict(state_dict=dict(weight=torch.zeros(1)), meta=dict(iter=2))
    monkeypatch.setattr(tool_steps, '_content', lambda _: content)
    monkeypatch.setattr(launch, 'POLL_SECONDS', 0.05)
    return timed


@pytest.mark.parametrize('name', [TRAINED[0], TRAINED[2]])
def test_a_search_that_is_interrupted_as_it_trains_goes_on(timed, load_tool, monkeypatch, name):
    measured, tool = [], load_tool('search.py')

    def measure(config, weights, key, schedules, workers):
        measured.extend(map(str, schedules))
        yield from ((schedule, float(str(schedule).count('F'))) for schedule in schedules)

    monkeypatch.setattr(tool, 'TOOLS', Path())
    monkeypatch.setattr(runs, 'judge_all', measure)
    Path('stop.txt').write_text(name)
    command = ['search.py', '--work-dir', 'work', '--out', 'out']

    with pytest.raises(SystemExit) as stop:
        tool.main(command)
    assert stop.value.code == 130 and not Path('out').exists()
    tool.main(command)

    expected = [f'{each} begun' for each in TRAINED]
    expected.insert(TRAINED.index(name) + 1, f'{name} resumed')
    assert Path('trained.txt').read_text().splitlines() == expected
    # Of four schedules.
    assert len(timed) == 4 and sorted(measured) == sorted({*measured}) and len(measured) == 4
    found = json.loads(Path('out/results.json').read_text())
    assert [entry['name'] for entry in found['retrained']] == ['searched 1', 'random 1', 'DeiT']
    assert found['found'] == 'FF|FF'


def test_a_search_that_was_moved_goes_on(search):
    space = build_space(search.space)
    tasks = []
    for folder in (Path('work'), Path('work').resolve(), Path('moved')):
        cfg = supernet_config(search, space, folder)
        tasks.append(runs.supernet_task(cfg, Place(folder, REPO / 'tools', folder / 'none', 1)))

    assert tasks[0].identity == tasks[1].identity == tasks[2].identity


def test_what_is_measured_stays_when_a_search_is_stopped(search, load_tool, monkeypatch, capsys):
    space, asked = build_space(search.space), []

    def measure_two(config, weights, key, schedules, workers):
        asked.append([str(schedule) for schedule in schedules])
        yield from ((schedule, 50.0) for schedule in schedules[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, 'judge_all', measure_two)
    monkeypatch.setattr(runs, 'run_from_command_line', lambda *_: None)
    Path('work/supernet').mkdir(parents=True)

    for _ in range(2):
        with pytest.raises(SystemExit) as stop:
            load_tool('search.py').main(['search.py', '--exhaustive', '--work-dir', 'work'])
        assert stop.value.code == 130
        assert 'the same command goes on from here' in capsys.readouterr().err

    every = [str(schedule) for schedule in space]
    assert asked == [every, every[2:]]


def test_measures_of_another_metric_are_not_taken(search, tmp_path, monkeypatch):
    asked, place = [], Place(tmp_path, REPO / 'tools', tmp_path / 'none', 1)

    def measure(config, weights, key, schedules, workers):
        asked.append(key)
        yield from ((schedule, len(key)) for schedule in schedules)

    monkeypatch.setattr(runs, 'judge_all', measure)
    some = [*build_space(search.space)]
    for key in ('top1', 'recall', 'top1'):
        found = runs.judged(tmp_path, key, some, place)
        assert found == dict.fromkeys(some, len(key))

    assert asked == ['top1', 'recall']
