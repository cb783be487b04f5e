"""The time left, and what is written where no terminal is."""

from io import StringIO

import pytest
from rich.console import Console

from mmtoken.tasks.progress import Progress, TaskState, clock, seconds_left


def test_nothing_measured_means_unknown():
    assert seconds_left([TaskState('a', 1.0)]) is None


def under_way(name: str, weight: float, fraction: float, spent: float) -> TaskState:
    """A task that this session has brought to a fraction."""
    return TaskState(name, weight, fraction, spent, 'train', gained=fraction, spent=spent)


def test_time_left_follows_the_pace_so_far():
    states = [under_way('a', 2.0, 1.0, 20.0), under_way('b', 4.0, 0.25, 10.0), TaskState('c', 1.0)]
    assert seconds_left(states) == 40.0


def test_earlier_sessions_do_not_slow_the_pace_of_this_one():
    resumed = TaskState('a', 1.0, 0.6, 5000.0, 'train', gained=0.1, spent=60.0)
    assert seconds_left([resumed]) == pytest.approx(240.0)


def test_before_this_session_measured_anything_finished_tasks_set_the_pace():
    resumed = TaskState('b', 2.0, 0.5, 5000.0, 'train', gained=0.0, spent=3.0)
    assert seconds_left([TaskState('a', 1.0, 1.0, 30.0), resumed]) == 30.0


def test_an_interrupted_session_alone_tells_no_pace():
    assert seconds_left([TaskState('a', 1.0, 0.5, 5000.0, 'train', spent=3.0)]) is None


def test_workers_share_the_time_left():
    states = [under_way('a', 1.0, 1.0, 10.0), TaskState('b', 1.0), TaskState('c', 1.0)]
    assert seconds_left(states, workers=2) == 10.0


def test_last_task_cannot_be_shared():
    states = [under_way('a', 1.0, 1.0, 10.0), TaskState('b', 1.0)]
    assert seconds_left(states, workers=2) == 10.0


def test_clock():
    assert [clock(None), clock(3725.4)] == ['-:--:--', '1:02:05']


def test_plain_output_names_what_runs_and_what_finished():
    console = Console(file=StringIO(), width=200)
    running = under_way('cls', 1.0, 0.5, 30.0)
    with Progress(console=console) as progress:
        progress.show([running, TaskState('det', 1.0)])
        progress.show([TaskState('cls', 1.0, 1.0, 60.0), TaskState('det', 1.0, 0.0, 0.0, 'train')])
    text = console.file.getvalue()
    assert 'all (0 of 2 done), 0:01:30 left: cls train 50%' in text
    assert 'finished cls in 0:01:00' in text


def test_live_output_ends_with_the_sum():
    console = Console(file=StringIO(), width=100, force_terminal=True)
    with Progress(console=console) as progress:
        progress.show([TaskState('cls', 1.0, 0.5, 30.0, 'train'), TaskState('det', 1.0)])
        progress.show([TaskState('cls', 1.0, 1.0, 60.0), TaskState('det', 1.0, 0.1, 5.0, 'test')])
    assert 'all (1 of 2 done)' in console.file.getvalue()
