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


def test_more_processes_of_mpi_than_gpus_are_refused(started, monkeypatch):
    cfg = started('mpi', OMPI_COMM_WORLD_LOCAL_SIZE='8')
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)

    with pytest.raises(UserError, match='8 processes were started'):
        prepare_launch(cfg)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that starts a run where torch sees no GPU, and says what is printed."""

    def start(capsys, visible: str | None, files: tuple[str, ...], device: str = 'cpu') -> str:
        monkeypatch.setattr(distributed, 'get_device', lambda: device)
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
        if visible is not None:
            monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
        for name in files:
            (tmp_path / name).touch()
        distributed._look_for_unseen_gpus(tmp_path)
        return capsys.readouterr().err

    return start


@pytest.mark.parametrize(
    ('visible', 'files', 'reason'),
    [
        ('3', (), 'CUDA_VISIBLE_DEVICES is 3'),
        (None, ('nvidia0', 'nvidia1', 'nvidiactl'), 'this machine has nvidia0, nvidia1;'),
    ],
)
def test_that_a_gpu_is_not_seen_is_said(machine, capsys, visible, files, reason):
    said = machine(capsys, visible, files)

    assert said.startswith('warning: the run uses the processor, since torch ')
    assert reason in said


def test_a_torch_without_cuda_is_named(machine, capsys, monkeypatch):
    monkeypatch.setattr('torch.version.cuda', None)

    assert 'that torch was built without CUDA' in machine(capsys, None, ('nvidia0',))


@pytest.mark.parametrize(
    ('visible', 'files', 'device'),
    [
        (None, ('nvidiactl',), 'cpu'),
        ('', ('nvidia0',), 'cpu'),
        ('-1', ('nvidia0',), 'cpu'),
        ('0', ('nvidia0',), 'cuda'),
    ],
)
def test_where_no_gpu_is_missed_nothing_is_said(machine, capsys, visible, files, device):
    assert machine(capsys, visible, files, device) == ''


def test_every_run_looks_for_gpus_that_torch_does_not_see(started, monkeypatch, capsys):
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cpu')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3')

    prepare_launch(Config(dict(launcher='none')))

    assert 'warning: the run uses the processor' in capsys.readouterr().err


@pytest.mark.parametrize(('backend', 'lines'), [('nccl', 1), ('gloo', 0)])
def test_that_gloo_takes_the_place_of_nccl_is_said(started, monkeypatch, capsys, backend, lines):
    cfg = started('pytorch', CUDA_VISIBLE_DEVICES='')
    cfg.env_cfg = dict(dist_cfg=dict(backend=backend))
    joined = []
    monkeypatch.setattr('torch.distributed.init_process_group', joined.append)

    prepare_launch(cfg)

    assert joined == ['gloo']
    assert capsys.readouterr().err.count('gloo in place of nccl') == lines


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
