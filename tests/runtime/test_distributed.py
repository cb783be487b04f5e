"""What a launcher that did not start the processes is told."""

import pytest
from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.runtime import distributed
from mmtoken.runtime.distributed import prepare_launch


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
