"""What the machine does to a run is answered by a sentence with what to change."""

import os
import signal

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import TestLoop as MMTestLoop
from mmengine.runner import ValLoop
from tiny_run import run_two
from torch.distributed import distributed_c10d
from torch.utils.data import DataLoader

from mmtoken.errors import ProcessError, UserError, exit_on_user_error
from mmtoken.runtime.failures import explain, explain_failures

CONFIG = Config(
    dict(
        train_dataloader=dict(batch_size=32, num_workers=4),
        val_dataloader=dict(batch_size=64, num_workers=1),
        test_dataloader=dict(batch_size=128, num_workers=2),
    )
)
SHARED = "It is possible that dataloader's workers are out of shared memory. Please try to raise "
# What torch 2.14 raises, and what the sentence must say to change.
KNOWN = [
    (
        RuntimeError('DataLoader worker (pid 123) is killed by signal: Killed. '),
        r'DataLoader worker \(pid 123\) is killed by signal: Killed, .*num_workers \(4\)',
    ),
    (
        RuntimeError('DataLoader worker (pid(s) 12, 13) exited unexpectedly'),
        r'\(pid\(s\) 12, 13\) exited unexpectedly, .* batch_size \(32\)',
    ),
    (
        RuntimeError(
            'DataLoader worker (pid 9) exited unexpectedly with exit code 1. Details are lost due '
            'to multiprocessing. Rerunning with num_workers=0 may give better error trace.'
        ),
        'exited unexpectedly with exit code 1, mostly because memory ran out',
    ),
    (
        RuntimeError(f'DataLoader worker (pid 5) is killed by signal: Bus error. {SHARED}'),
        '^shared memory is full: .* --shm-size',
    ),
    (
        RuntimeError(
            'Caught RuntimeError in DataLoader worker process 1.\nOriginal Traceback (most recent '
            'call last):\n  File "a.py"\nRuntimeError: unable to write to file </torch_12_34_5>: '
            'No space left on device (28)\n'
        ),
        '^shared memory is full',
    ),
    (
        RuntimeError('unable to mmap 40 bytes from file </torch_1_2>: Cannot allocate memory (12)'),
        '^shared memory is full',
    ),
    (
        RuntimeError('DataLoader timed out after 30 seconds'),
        r'^train_dataloader waited 30 seconds for a batch, .*num_workers=0 \(now 4\)',
    ),
    (
        RuntimeError('CUDA error: device-side assert triggered\nCUDA kernel errors might be'),
        '^a check within a GPU program failed, mostly since a label .* num_classes',
    ),
    (
        torch.distributed.DistBackendError(
            'NCCL error in: NCCLUtils.cpp:94, invalid usage (run with NCCL_DEBUG=WARN for details)'
            '\nLast error:\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 1b000'
        ),
        '^two processes of the run were put on the same GPU; start one process for each',
    ),
    (
        OSError(28, 'No space left on device', '/data/run/1.log'),
        "^there is no space left on the disk to write '/data/run/1.log'; make room",
    ),
    (OSError(28, 'No space left on device'), '^there is no space left on the disk; make room'),
    (OSError(24, 'Too many open files'), r'ulimit -n 65536'),
    (RuntimeError('received 0 items of ancdata'), r'^too many files are open .* \(4\)'),
    (
        RuntimeError('unable to open shared memory object </torch_1> in read-write mode: Too many '
                     'open files (24)'),
        '^too many files are open',
    ),
    (
        torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...'),
        r'train_dataloader.batch_size=32 \(at most 0\.0 GiB .* --amp, or set '
        r'model.backbone.with_cp=True',
    ),
    (RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'), '^the GPU has too little memory'),
    (
        RuntimeError('[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can\'t '
                     'allocate memory: you tried to allocate 80 bytes. Error code 12'),
        r'^memory ran out; lower train_dataloader\.batch_size \(32\) or num_workers \(4\)',
    ),
    (MemoryError(), '^memory ran out'),
    (OSError(12, 'Cannot allocate memory'), '^memory ran out'),
    (
        RuntimeError('No CUDA GPUs are available'),
        r"does not see \(0 seen; CUDA_VISIBLE_DEVICES is ''\)",
    ),
    (RuntimeError('Found no NVIDIA driver on your system. Please check'), 'does not see'),
    (AssertionError('Torch not compiled with CUDA enabled'), 'does not see'),
    (
        ValueError('ProcessGroupNCCL is only supported with GPUs, no GPUs found!'),
        'start one process for each GPU',
    ),
    (
        RuntimeError('CUDA error: invalid device ordinal\nCUDA kernel errors might be'),
        'does not see',
    ),
    (
        RuntimeError('The NVIDIA driver on your system is too old (found version 11040).'),
        r'too old for torch 2\.',
    ),
    (
        RuntimeError('CUDA error: no kernel image is available for execution on the device'),
        'has no program for this GPU',
    ),
    (
        torch.distributed.DistNetworkError(
            'The server socket has failed to listen on any local network address. port: 29500, '
            'useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use'
        ),
        '^port 29511 is in use, .* PORT=29501',
    ),
    (
        RuntimeError('[/pytorch/gloo/transport/tcp/pair.cc:538] Connection closed by peer '
                     '[127.0.0.1]:21342'),
        '^the connection to another process of the run was lost',
    ),
    (
        torch.distributed.DistBackendError(
            'NCCL error in: NCCLUtils.cpp:94, ncclRemoteError: A call failed possibly due to a '
            'network error or a remote process exiting prematurely.'
        ),
        'training goes on with --resume',
    ),
    (RuntimeError('NCCL communicator was aborted on rank 3.'), 'the connection to rank 3 of'),
]  # fmt: skip


@pytest.mark.parametrize(('error', 'sentence'), KNOWN, ids=lambda value: str(value)[:40])
def test_a_failure_is_answered_by_what_to_change(error, sentence, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('MASTER_PORT', '29511')

    with pytest.raises(ProcessError, match=sentence) as info, explain_failures(CONFIG):
        raise error

    assert '\n' not in str(info.value)


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('shape mismatch'),
        KeyError('img'),
        ConnectionResetError(104, 'Connection reset by peer'),
        UserError('an own sentence about CUDA out of memory'),
    ],
    ids=repr,
)
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)) as info, explain_failures(CONFIG):
        raise error

    assert info.value is error


class Sealed:
    """A data set whose worker dies as if it were out of memory."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


class Broken(Sealed):
    """A data set with a fault of its own."""

    def __getitem__(self, index):
        raise KeyError('no key\nof two lines')


def test_a_worker_that_is_killed_is_named():
    loader = DataLoader(Sealed(), num_workers=1)

    sentence = r'\(pid(\(s\))? \d+\) .*memory ran out; lower train_data'
    with pytest.raises(UserError, match=sentence), explain_failures(CONFIG):
        next(iter(loader))


def test_what_a_worker_raises_is_told_in_a_line():
    loader = DataLoader(Broken(), num_workers=1)

    sentence = r"^train_dataloader failed with KeyError: 'no key.nof two lines'; correct"
    with pytest.raises(UserError, match=sentence), explain_failures(CONFIG):
        next(iter(loader))


class OwnValLoop(ValLoop):
    """A loop of a project's own."""


@pytest.mark.parametrize(
    ('loop', 'name'), [(ValLoop, 'val'), (OwnValLoop, 'val'), (MMTestLoop, 'test')]
)
def test_the_loader_of_the_loop_is_named(loop, name):
    def step(self):
        raise torch.OutOfMemoryError('CUDA out of memory.')

    try:
        step(object.__new__(loop))
    except torch.OutOfMemoryError as error:
        sentence = explain(error, CONFIG)

    batch_size = CONFIG[f'{name}_dataloader'].batch_size
    assert f'{name}_dataloader.batch_size={batch_size} ' in sentence
    assert '--amp' not in sentence


def test_the_log_keeps_the_traceback(tmp_path):
    file = tmp_path / 'run.log'
    MMLogger.get_instance('failing', log_file=str(file))

    sentence = f'; the traceback is in {file}'
    with pytest.raises(UserError, match=sentence), explain_failures(CONFIG):
        raise RuntimeError('No CUDA GPUs are available')

    assert 'Traceback (most recent call last)' in file.read_text()
    assert 'RuntimeError: No CUDA GPUs are available' in file.read_text()


def test_every_process_says_its_own(monkeypatch, capsys):
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setenv('RANK', '5')
    monkeypatch.setenv('WORLD_SIZE', '8')

    @exit_on_user_error
    def main():
        with explain_failures(CONFIG):
            raise MemoryError

    with pytest.raises(SystemExit) as exit_:
        main()

    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith('error: rank 5: memory ran out')


@exit_on_user_error
def end_with(error: Exception) -> None:
    with explain_failures(CONFIG):
        raise error


def test_what_one_of_several_processes_alone_knows_is_said(tmp_path, capfd):
    def work(rank):
        if rank == 1:
            end_with(UserError('image 7 is bad'))

    assert run_two(work, tmp_path / 'meeting') == [0, 2]
    assert capfd.readouterr().err.count('error: image 7 is bad') == 1


def test_what_all_processes_know_is_said_once(tmp_path, capfd):
    def work(rank):
        end_with(UserError('the loss is not finite'))

    assert run_two(work, tmp_path / 'meeting') == [2, 2]
    assert capfd.readouterr().err.count('error: the loss is not finite') == 1


def test_what_cannot_be_agreed_on_is_said(tmp_path, capfd, monkeypatch):
    def gone():
        raise torch.distributed.DistNetworkError('Connection reset by peer')

    monkeypatch.setattr(distributed_c10d, '_get_default_store', gone)

    assert run_two(lambda rank: end_with(UserError(f'{rank} ends')), tmp_path / 'meeting') == [2, 2]
    said = capfd.readouterr().err
    assert 'error: 0 ends' in said and 'error: 1 ends' in said


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_the_tools_explain(tool, load_tool, monkeypatch, tmp_path, digit_scenes, capsys):
    module = load_tool(f'{tool}.py')

    def fail(*args):
        raise RuntimeError('No CUDA GPUs are available')

    monkeypatch.setattr(module, 'build_runner', fail)
    weights = tmp_path / 'some.pth'
    weights.touch()
    root = digit_scenes / 'classification'
    options = [f'{name}_dataloader.dataset.data_root={root}' for name in ('train', 'val', 'test')]
    words = ['configs/digits/life-d6w96_digits-cls.py', *([str(weights)] if tool == 'test' else [])]

    with pytest.raises(SystemExit) as exit_:
        module.main([*words, '--work-dir', str(tmp_path), '--cfg-options', *options])

    assert exit_.value.code == 2
    assert 'the run asks for a GPU' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('tool', 'work'),
    [
        ('analysis_tools/probe.py', 'probe'),
        ('analysis_tools/rollout_faithfulness.py', 'measure_dataset'),
        ('visualization/attention_similarity.py', 'measure'),
        ('visualization/decisions.py', 'measure_all'),
    ],
)
def test_tools_that_read_data_explain_failures(
    load_tool, monkeypatch, capsys, tmp_path, tool, work
):
    module = load_tool(tool)

    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')

    monkeypatch.setattr(module, work, fail)
    monkeypatch.setattr(module, 'load_checked_config', lambda *args, **kwargs: CONFIG)
    for check in ('check_files', 'check_data_config', 'check_config'):
        monkeypatch.setattr(module, check, lambda *args, **kwargs: None, raising=False)
    monkeypatch.setattr(module, 'load_data_config', lambda *args: CONFIG, raising=False)
    words = {
        'probe': ['config.py', 'weights.pth'],
        'measure_dataset': ['config.py', 'weights.pth', '--name', 'a', '--out', str(tmp_path)],
        'measure': ['config.py', 'weights.pth', '--out', str(tmp_path / 'a.png')],
        'measure_all': ['config.py', 'a=weights.pth', '--out', str(tmp_path / 'a.png')],
    }[work]

    with pytest.raises(SystemExit) as end:
        module.main(words)

    assert end.value.code == 2
    assert 'the GPU has too little memory for' in capsys.readouterr().err
