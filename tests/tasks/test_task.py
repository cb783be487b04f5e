"""Stamps: what is finished, what goes on, what starts anew; and progress read from a log."""

import json
from pathlib import Path

import pytest

from mmtoken.errors import UserError
from mmtoken.tasks.task import Step, Task, log_fraction, open_folder, write_json


def make_task(folder: Path, **changes) -> Task:
    """A task of two steps that are never run."""
    steps = (Step('train', lambda: ['true'], 3.0), Step('test', lambda: ['true']))
    return Task('run', folder, steps, **{'identity': {'lr': 1}, **changes})


def finish(task: Task) -> None:
    """Leave the stamp that a finished task has."""
    write_json(task.folder / 'finished.json', {'question': task.question(), 'seconds': 2.0})


def test_weight_is_the_sum_of_the_steps(tmp_path):
    assert make_task(tmp_path).weight == 4.0


def test_finished_task_returns_its_stamp(tmp_path):
    task = make_task(tmp_path / 'run')
    open_folder(task)
    finish(task)
    assert task.result()['seconds'] == 2.0


def test_changed_identity_is_not_finished(tmp_path):
    task = make_task(tmp_path / 'run')
    open_folder(task)
    finish(task)
    assert make_task(tmp_path / 'run', identity={'lr': 2}).result() is None


def test_changed_input_file_is_not_finished(tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.write_bytes(b'one')
    task = make_task(tmp_path / 'run', inputs=[weights])
    open_folder(task)
    finish(task)
    weights.write_bytes(b'two')
    assert task.result() is None


def test_missing_output_is_not_finished(tmp_path):
    task = make_task(tmp_path / 'run', outputs=[tmp_path / 'final.pth'])
    open_folder(task)
    finish(task)
    assert task.result() is None


def test_interrupted_folder_keeps_its_files(tmp_path):
    task = make_task(tmp_path / 'run')
    open_folder(task)
    (task.folder / 'epoch_1.pth').touch()
    open_folder(task)
    assert (task.folder / 'epoch_1.pth').exists()


def test_interrupted_task_continues_at_its_step(tmp_path):
    task = make_task(tmp_path / 'run')
    record = open_folder(task)
    write_json(task.folder / 'started.json', record | {'steps_done': 1, 'seconds': 7.5})
    assert open_folder(task)['steps_done'] == 1


def test_kill_before_the_stamp_repeats_the_last_step(tmp_path):
    task = make_task(tmp_path / 'run')
    record = open_folder(task)
    write_json(task.folder / 'started.json', record | {'steps_done': 2})
    assert open_folder(task)['steps_done'] == 1


def test_folder_of_another_question_is_emptied(tmp_path):
    open_folder(make_task(tmp_path / 'run'))
    (tmp_path / 'run' / 'epoch_1.pth').touch()
    open_folder(make_task(tmp_path / 'run', identity={'lr': 2}))
    assert [file.name for file in (tmp_path / 'run').iterdir()] == ['started.json']


def test_folder_of_someone_else_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').touch()
    with pytest.raises(UserError, match='holds files that no earlier run'):
        open_folder(make_task(tmp_path))


def test_write_json_leaves_no_part_file(tmp_path):
    write_json(tmp_path / 'a.json', {'a': 1})
    assert [file.name for file in tmp_path.iterdir()] == ['a.json']
    assert json.loads((tmp_path / 'a.json').read_text()) == {'a': 1}


@pytest.mark.parametrize(
    ('line', 'epochs', 'fraction'),
    [
        ('Epoch(train)  [3][ 50/100]  lr: 1e-3', 5, 0.5),
        ('Iter(train) [  50/200]  lr: 1e-3', 1, 0.25),
        ('Epoch(test) [ 30/40]    eta: 0:00:01', 1, 0.75),
        ('Epoch(train)  [2][100/100]\nEpoch(val) [2][ 5/10]', 4, 0.5),
        ('nothing to see', 1, 0.0),
    ],
)
def test_log_fraction_reads_the_last_progress_line(tmp_path, line, epochs, fraction):
    log = tmp_path / 'train.log'
    log.write_text(f'Epoch(train)  [1][  1/100]\n{line}\n' if fraction else line)
    assert log_fraction(log, epochs) == fraction


def test_log_fraction_of_a_missing_log_is_zero(tmp_path):
    assert log_fraction(tmp_path / 'none.log') == 0.0
