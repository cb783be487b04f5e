"""How tools/dist_*.sh let processes of a run find each other, and hand signals on to them."""

import os
import subprocess
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

REPO = Path(__file__).parents[2]
CALLS = {'train': ['config.py', '2'], 'test': ['config.py', 'weights.pth', '2']}


@pytest.fixture
def started(tmp_path):
    """A function that runs a script with a Python that says what it is asked."""
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "$$"\nenv\necho "$@"\n')
    python.chmod(0o755)

    def start(tool: str, **variables: str) -> str:
        names = {'PORT', 'NNODES', 'NODE_RANK', 'MASTER_ADDR'}
        env = {name: value for name, value in os.environ.items() if name not in names}
        env |= {'PATH': f'{tmp_path}:{env["PATH"]}', **variables}
        command = ['bash', f'tools/dist_{tool}.sh', *CALLS[tool], '--amp']
        process = subprocess.Popen(command, cwd=REPO, env=env, stdout=subprocess.PIPE, text=True)
        said = process.communicate()[0]
        assert process.returncode == 0
        pids.append(process.pid)
        return said

    start.pids = pids = []
    return start


@pytest.mark.parametrize('tool', CALLS)
def test_on_one_machine_the_port_is_free(started, tool):
    said = started(tool)

    assert '--standalone --nproc_per_node=2' in said
    assert '--master_port' not in said
    assert said.rstrip().endswith('--launcher pytorch --amp')


@pytest.mark.parametrize('tool', CALLS)
def test_a_port_that_is_asked_for_is_taken(started, tool):
    said = started(tool, PORT='29777')

    assert '--nnodes=1 --node_rank=0 --master_addr=127.0.0.1 --master_port=29777' in said
    assert '--standalone' not in said


@pytest.mark.parametrize('tool', CALLS)
def test_several_machines_meet_where_they_are_told(started, tool):
    said = started(tool, NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1')

    assert '--nnodes=2 --node_rank=1 --master_addr=10.0.0.1 --master_port=29500' in said


@pytest.mark.parametrize('tool', CALLS)
def test_torchrun_takes_the_place_of_the_script_so_that_signals_reach_it(started, tool):
    assert started(tool).splitlines()[0] == str(*started.pids)


def test_torchrun_hands_on_the_signals_that_a_run_answers(started, monkeypatch):
    said = dict(line.partition('=')[::2] for line in started('train').splitlines())
    monkeypatch.setenv('PET_SIGNALS_TO_HANDLE', said['PET_SIGNALS_TO_HANDLE'])

    options = vars(get_args_parser().parse_args(['train.py']))

    signals = {'SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGHUP', 'SIGQUIT'}
    # Older ones hand on four of them, and cannot be told.
    assert {*options.get('signals_to_handle', said['PET_SIGNALS_TO_HANDLE']).split(',')} == signals


def test_torchrun_leaves_time_to_save(started, monkeypatch):
    monkeypatch.delenv('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', raising=False)

    assert 'TORCH_ELASTIC_SHUTDOWN_TIMEOUT=120' in started('train')
    assert 'TIMEOUT=45\n' in started('train', TORCH_ELASTIC_SHUTDOWN_TIMEOUT='45')
