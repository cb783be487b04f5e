"""tools/slurm_train.sh queues a job again that a signal has ended, and goes on with --resume."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SRUN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$LOGS/srun.log"
{body}
"""
SCONTROL = """#!/usr/bin/env bash
echo "$@" >> "$LOGS/scontrol.log"
[[ $1 != show ]] || echo "JobId=7 JobState=$STATE Reason=None"
"""
# Says that it runs, and answers signals as Slurm's own: of these it hands on USR1 alone, upon which
# the run ends.
WAITING = """
trap 'kill $!; exit 138' USR1
trap 'echo "srun: forcing job termination"; kill $!; exit 137' TERM HUP QUIT
trap 'echo "srun: interrupt (one more within 1 sec to abort)"' INT
sleep 60 &
echo ready > "$LOGS/ready"
while kill -0 $!; do wait; done
"""


@pytest.fixture
def cluster(tmp_path):
    """A function that starts the script where `srun` is a script of ours."""

    def start(body: str, **variables: str) -> subprocess.Popen:
        for name, text in (('srun', SRUN.format(body=body)), ('scontrol', SCONTROL)):
            path = tmp_path / name
            path.write_text(text)
            path.chmod(0o755)
        env = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'LOGS': str(tmp_path)}
        env |= {'STATE': 'RUNNING', **variables}
        command = ['bash', 'tools/slurm_train.sh', 'part', 'job', 'config.py', 'work', '--amp']
        return subprocess.Popen(command, cwd=REPO, env=env, stdout=subprocess.PIPE, text=True)

    return start


def asked(tmp_path: Path) -> list[str]:
    log = tmp_path / 'scontrol.log'
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize('code', [138, 143])
def test_a_job_that_a_signal_ended_is_queued_again(cluster, tmp_path, code):
    run = cluster(f'exit {code}', SLURM_JOB_ID='7')

    assert run.wait(60) == code
    assert asked(tmp_path) == ['show job 7', 'requeue 7']


@pytest.mark.parametrize('code', [0, 1, 2, 130, 137])
def test_a_job_that_ended_otherwise_is_not(cluster, tmp_path, code):
    run = cluster(f'exit {code}', SLURM_JOB_ID='7')

    assert run.wait(60) == code
    assert asked(tmp_path) == []


def test_a_job_that_was_canceled_is_not(cluster, tmp_path):
    run = cluster('exit 143', SLURM_JOB_ID='7', STATE='CANCELLED')

    assert run.wait(60) == 143
    assert asked(tmp_path) == ['show job 7']


def test_what_runs_outside_of_a_job_is_not(cluster, tmp_path):
    run = cluster('exit 143')

    assert run.wait(60) == 143
    assert asked(tmp_path) == []


@pytest.mark.usefixtures('hear_ctrl_c')
@pytest.mark.parametrize(
    ('number', 'calls'),
    [
        (signal.SIGUSR1, ['show job 7', 'requeue 7']),
        (signal.SIGTERM, ['show job 7', 'requeue 7']),
        # Whoever sits in front of it wants an end.
        (signal.SIGINT, []),
    ],
)
def test_a_signal_to_the_job_reaches_the_processes(cluster, tmp_path, number, calls):
    os.mkfifo(tmp_path / 'ready')
    run = cluster(WAITING, SLURM_JOB_ID='7')
    (tmp_path / 'ready').read_text()

    run.send_signal(number)

    assert run.wait(20) == 128 + number
    assert asked(tmp_path) == calls


@pytest.mark.parametrize(('count', 'last'), [('0', '--amp'), ('1', '--resume')])
def test_a_job_that_was_queued_again_resumes(cluster, tmp_path, count, last):
    cluster('exit 0', SLURM_JOB_ID='7', SLURM_RESTART_COUNT=count).wait(60)

    words = (tmp_path / 'srun.log').read_text().splitlines()
    assert words[-1] == last
    assert words[words.index('--work-dir') + 1] == 'work'
