"""Tasks run as child processes: order, sharing of cores, failure, interruption."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmtoken.tasks import launch
from mmtoken.tasks.launch import TaskFailed, run_tasks
from mmtoken.tasks.progress import Progress
from mmtoken.tasks.task import Step, Task, open_folder, write_json


@pytest.fixture(autouse=True)
def poll_often(monkeypatch):
    monkeypatch.setattr(launch, 'POLL_SECONDS', 0.01)


def python(code: str) -> Step:
    """A step that runs a line of Python."""
    return Step('step', lambda: [sys.executable, '-S', '-c', code])


def make_task(root: Path, name: str, code: str = '', **changes) -> Task:
    """A task of one line of Python."""
    return Task(name, root / name, (python(code),), **changes)


def test_result_holds_what_finish_returns(tmp_path):
    task = make_task(tmp_path, 'a', finish=lambda: {'top1': 88.0})
    assert run_tasks([task])['a']['top1'] == 88.0


def test_output_goes_to_the_log(tmp_path):
    run_tasks([make_task(tmp_path, 'a', 'print("hello")')])
    assert 'hello' in (tmp_path / 'a' / 'step.log').read_text()


def test_finished_task_is_not_run_again(tmp_path):
    code = f'open({str(tmp_path / "count")!r}, "a").write("x")'
    run_tasks([make_task(tmp_path, 'a', code)])
    run_tasks([make_task(tmp_path, 'a', code)])
    assert (tmp_path / 'count').read_text() == 'x'


def test_needed_task_runs_first(tmp_path):
    file = tmp_path / 'weights'
    first = make_task(tmp_path, 'first', f'open({str(file)!r}, "w").write("w")')
    second = make_task(tmp_path, 'second', f'open({str(file)!r})', needs=['first'])
    assert list(run_tasks([first, second], workers=2)) == ['first', 'second']


def test_a_task_that_would_wait_for_ever_is_refused(tmp_path):
    first = make_task(tmp_path, 'first', needs=['second'])
    with pytest.raises(ValueError, match='first needs second, which does not stand before it'):
        run_tasks([first, make_task(tmp_path, 'second')])


def test_new_weights_make_the_task_that_reads_them_run_again(tmp_path):
    file, count = tmp_path / 'weights', tmp_path / 'count'

    def tasks(weights: str) -> list[Task]:
        code = f'open({str(file)!r}, "w").write({weights!r})'
        first = make_task(tmp_path, 'first', code, identity={'weights': weights})
        code = f'open({str(count)!r}, "a").write("x")'
        return [first, make_task(tmp_path, 'second', code, inputs=[file], needs=['first'])]

    run_tasks(tasks('one'))
    run_tasks(tasks('two'))
    assert count.read_text() == 'xx'


def test_the_only_worker_gets_all_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, 'cpu_count', lambda: 6)
    run_tasks([make_task(tmp_path, 'a', 'import os; print(os.environ["OMP_NUM_THREADS"])')])
    assert (tmp_path / 'a' / 'step.log').read_text().splitlines()[-1] == '6'


@pytest.mark.parametrize(('given', 'used'), [(None, 'passive'), ('active', 'active')])
def test_threads_wait_passively_unless_told_otherwise(tmp_path, monkeypatch, given, used):
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
    if given:
        monkeypatch.setenv('OMP_WAIT_POLICY', given)
    run_tasks([make_task(tmp_path, 'a', 'import os; print(os.environ["OMP_WAIT_POLICY"])')])
    assert (tmp_path / 'a' / 'step.log').read_text().splitlines()[-1] == used


def test_tasks_side_by_side_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, 'cpu_count', lambda: 6)
    code = 'import os; print(os.environ["OMP_NUM_THREADS"])'
    run_tasks([make_task(tmp_path, name, code) for name in 'abc'], workers=2)
    logs = [(tmp_path / name / 'step.log').read_text().splitlines()[-1] for name in 'ab']
    assert logs == ['3', '3']


def test_failure_names_the_log_and_shows_its_end(tmp_path):
    task = make_task(tmp_path, 'a', 'raise SystemExit("no such dataset")')
    with pytest.raises(TaskFailed, match=r'(?s)step of a .*a/step\.log.*no such dataset'):
        run_tasks([task])


def test_nothing_starts_after_a_failure(tmp_path):
    bad, good = make_task(tmp_path, 'bad', 'raise SystemExit(1)'), make_task(tmp_path, 'good')
    with pytest.raises(TaskFailed):
        run_tasks([bad, good])
    assert not (tmp_path / 'good').exists()


def test_failed_step_is_repeated_but_not_the_steps_before_it(tmp_path):
    count, ready = tmp_path / 'count', tmp_path / 'ready'
    train = python(f'open({str(count)!r}, "a").write("x")')
    test = python(f'open({str(ready)!r})')
    task = Task('a', tmp_path / 'a', (train, test))
    with pytest.raises(TaskFailed):
        run_tasks([task])
    ready.touch()
    run_tasks([task])
    assert count.read_text() == 'x'


def test_check_can_stop_everything(tmp_path):
    def refuse(task, result):
        raise ValueError(task.name)

    with pytest.raises(ValueError, match='a'):
        run_tasks([make_task(tmp_path, 'a'), make_task(tmp_path, 'b')], check=refuse)


def test_what_earlier_sessions_did_is_told_apart_from_this_one(tmp_path, monkeypatch):
    class Watched(Progress):
        """Lets the task end once its own log is seen, and keeps the states."""

        def show(self, states):
            nonlocal last
            last = states[0]
            if last.fraction == 0.2:
                seen.touch()

    last, seen = None, tmp_path / 'seen'
    monkeypatch.setattr(launch, 'Progress', Watched)
    wait = f'while not pathlib.Path({str(seen)!r}).exists(): time.sleep(0.01)'
    code = f'import pathlib, time\nprint("Iter(train) [  20/100]", flush=True)\n{wait}'
    task = make_task(tmp_path, 'a', code)
    record = open_folder(task)
    write_json(task.folder / 'started.json', record | {'seconds': 1e6})
    # The session ended after its last checkpoint, to which the training goes back.
    (task.folder / 'step.log').write_text('Iter(train) [  40/100]\n')

    run_tasks([task])

    assert (last.fraction, last.gained) == (1.0, 0.8)
    assert last.seconds > 1e6 > last.spent


# Sets the signals it is sent itself: a job in the background inherits an ignored SIGINT.
PARENT = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, {on_interrupt})
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from mmtoken.tasks.launch import run_tasks
from mmtoken.tasks.task import Step, Task
step = Step('step', lambda: [sys.executable, '-S', '-c', {code!r}])
try:
    run_tasks([Task('a', pathlib.Path({folder!r}), (step,))])
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def child_of(log: str) -> int | None:
    """The pid that a task's process has printed."""
    found = re.search(r'^pid (\d+)$', log, re.MULTILINE)
    return found and int(found[1])


def is_there(number: int) -> bool:
    """Whether a process runs; one that nobody has waited for is none."""
    stat = Path(f'/proc/{number}/stat')
    return stat.exists() and stat.read_text().rpartition(')')[2].split()[0] != 'Z'


def interrupt(folder: Path, number: int, code: str, on_interrupt: str, ends_with: int = 130) -> str:
    """Start a task in a process of its own and send it a signal when the task has said its pid.

    Args:
        folder: The task's.
        number: The signal.
        code: The task's code.
        on_interrupt: The process's handler of SIGINT.
        ends_with: The process's exit code, as on an interruption or of a signal that kills.

    Returns:
        The task's log, once the process has ended.
    """
    script = PARENT.format(on_interrupt=on_interrupt, code=code, folder=str(folder))
    parent = subprocess.Popen([sys.executable, '-c', script])
    log = folder / 'step.log'
    while parent.poll() is None and not (log.exists() and child_of(log.read_text())):
        time.sleep(0.05)
    parent.send_signal(number)
    try:
        assert parent.wait(30) == ends_with
    finally:
        parent.kill()
    return log.read_text()


@pytest.mark.skipif(sys.platform != 'linux', reason='needs what Linux tells a child')
def test_a_child_of_a_process_that_is_killed_is_terminated(tmp_path):
    code = 'import os, time; print("pid", os.getpid(), flush=True); time.sleep(60)'

    log = interrupt(tmp_path / 'a', signal.SIGKILL, code, 'signal.SIG_DFL', -signal.SIGKILL)

    deadline = time.monotonic() + 30
    while is_there(child_of(log)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_there(child_of(log))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_child_and_can_go_on(tmp_path, number):
    code = 'import os, time; print("pid", os.getpid(), flush=True); time.sleep(60)'

    log = interrupt(tmp_path / 'a', number, code, 'signal.default_int_handler')

    with pytest.raises(ProcessLookupError):
        os.kill(child_of(log), 0)
    assert json.loads((tmp_path / 'a' / 'started.json').read_text())['seconds'] > 0


def test_a_child_that_inherits_an_ignored_interrupt_is_terminated(tmp_path):
    code = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: sys.exit(f'heard {signal.Signals(number).name}'))
print('pid', os.getpid(), flush=True)
time.sleep(60)
"""

    log = interrupt(tmp_path / 'a', signal.SIGTERM, code, 'signal.SIG_IGN')

    assert 'heard SIGTERM' in log
