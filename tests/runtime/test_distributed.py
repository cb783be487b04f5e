"""What a launcher that did not start the processes is told, and how a group of them is left."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.nn.parallel import DistributedDataParallel

from mmtoken.errors import UserError
from mmtoken.runtime import distributed
from mmtoken.runtime.distributed import leave_launch, prepare_launch


@pytest.fixture
def started(monkeypatch):
    """A function that sets what a launcher's own program would, for one process without a GPU."""
    for names in distributed._VARIABLES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cpu')
    monkeypatch.setattr('torch.cuda.device_count', lambda: 0)

    def start(launcher: str, **changes: str) -> Config:
        for name in distributed._VARIABLES[launcher]:
            monkeypatch.setenv(name, '0')
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        return Config(dict(launcher=launcher))

    return start


def test_one_process_needs_no_launcher(started):
    prepare_launch(Config(dict(launcher='none')))


@pytest.mark.parametrize(('launcher', 'variable'), [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID')])
def test_a_launcher_that_did_not_start_the_process_is_named(started, launcher, variable):
    with pytest.raises(UserError, match=f'--launcher {launcher}: {variable}, .* is not set'):
        prepare_launch(Config(dict(launcher=launcher)))


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_on_cpus_torchrun_is_recommended(started, launcher):
    cfg = started(launcher)

    with pytest.raises(UserError, match='on CPUs start them with torchrun'):
        prepare_launch(cfg)


def test_more_processes_than_gpus_are_refused(started, monkeypatch):
    cfg = started('pytorch', LOCAL_WORLD_SIZE='8')
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)

    with pytest.raises(UserError, match=r'8 processes were started on a machine with 2 GPU\(s\)'):
        prepare_launch(cfg)


def group_threads():
    """Names of this process's threads that serve a group of processes."""
    names = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]
    return [name for name in names if 'gloo' in name]


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='threads are listed on Linux')
def test_no_thread_of_the_group_is_left_behind():
    def work():
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
        model = DistributedDataParallel(torch.nn.Linear(2, 2))
        model.itself = [model]  # a cycle, as runners have
        model(torch.ones(1, 2)).sum().backward()
        assert group_threads()

    work()
    leave_launch()

    assert not torch.distributed.is_initialized()
    assert group_threads() == []
