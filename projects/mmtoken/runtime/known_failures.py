"""Failures of the machine: how torch and the system tell them, and what helps.

The texts that are looked for are torch's and the system's; the sentences are ours.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Circumstances:
    """What a sentence may name.

    Args:
        text: What the error says.
        match: Where the pattern of its kind was found.
        loader: The key of the data loader in use.
        batch_size: Its batch size, of one process.
        workers: Its number of workers.
    """

    text: str
    match: re.Match
    loader: str
    batch_size: object
    workers: object


def _shared_memory(seen: Circumstances) -> str:
    return (
        'shared memory is full: the data loading processes hand batches over in it; lower '
        f'{seen.loader}.num_workers ({seen.workers}) or batch_size ({seen.batch_size}), or give '
        'the machine more (docker run --shm-size=8g, or mount -o remount,size=8g /dev/shm)'
    )


def _open_files(seen: Circumstances) -> str:
    return (
        'too many files are open in this process; raise the limit with "ulimit -n 65536" in the '
        f'shell that starts the run, or lower {seen.loader}.num_workers ({seen.workers})'
    )


def _killed_worker(seen: Circumstances) -> str:
    what = ' '.join(seen.match[0].split()).rstrip('. ')
    return (
        f'{what}, mostly because memory ran out; lower {seen.loader}.num_workers ({seen.workers}) '
        f'or batch_size ({seen.batch_size}), give the job more memory, or look in the system log '
        '(dmesg) for who ended it'
    )


def _raising_worker(seen: Circumstances) -> str:
    # The worker's traceback ends with the error itself, which may have several lines.
    name = seen.match[1]
    reason = ' '.join(re.split(rf'\n(?:[\w.]+\.)?{name}: ?', seen.text)[-1].split())
    return (
        f'{seen.loader} failed with {name}: {reason.rstrip(".")}; correct the data or the '
        f'pipeline; {seen.loader}.num_workers=0 raises the error where it happens'
    )


def _late_batch(seen: Circumstances) -> str:
    return (
        f'{seen.loader} waited {seen.match[1]} seconds for a batch, since a data loading process '
        f'hangs or the disk is slow; raise {seen.loader}.timeout, or look with '
        f'{seen.loader}.num_workers=0 (now {seen.workers}) for where it stands'
    )


def _gpu_memory(seen: Circumstances) -> str:
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    help_in_training = ', train with --amp, or set model.backbone.with_cp=True'
    return (
        f'the GPU has too little memory for {seen.loader}.batch_size={seen.batch_size} (at most '
        f'{peak:.1f} GiB were in use); lower it'
        + (help_in_training if seen.loader == 'train_dataloader' else '')
        + ', and look with nvidia-smi for other programs on the GPU'
    )


def _memory(seen: Circumstances) -> str:
    return (
        f'memory ran out; lower {seen.loader}.batch_size ({seen.batch_size}) or num_workers '
        f'({seen.workers}), or give the job more memory'
    )


def _old_driver(seen: Circumstances) -> str:
    return (
        f"the GPU's driver is too old for torch {torch.__version__}, which was built for CUDA "
        f'{torch.version.cuda}; update the driver, or install a torch for an older CUDA'
    )


def _no_gpu(seen: Circumstances) -> str:
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    which = 'is not set' if visible is None else f'is {visible!r}'
    return (
        f'the run asks for a GPU that torch {torch.__version__} does not see '
        f'({torch.cuda.device_count()} seen; CUDA_VISIBLE_DEVICES {which}); look with nvidia-smi, '
        'start one process for each GPU, or leave out what asks for it'
    )


def _wrong_gpu(seen: Circumstances) -> str:
    return (
        f'torch {torch.__version__} has no program for this GPU; install a torch that was built '
        'for it'
    )


def _gpu_assertion(seen: Circumstances) -> str:
    return (
        'a check within a GPU program failed, mostly since a label or an index is out of range; '
        'compare the labels with num_classes, or look with CUDA_LAUNCH_BLOCKING=1 in the '
        'environment, or on the processor, for the operation'
    )


def _shared_gpu(seen: Circumstances) -> str:
    return (
        'two processes of the run were put on the same GPU; start one process for each GPU, and '
        'see that CUDA_VISIBLE_DEVICES names none twice'
    )


def _full_disk(seen: Circumstances) -> str:
    file = f' to write {seen.match[1]}' if seen.match[1] else ''
    return (
        f'there is no space left on the disk{file}; make room (df -h names full ones), or set '
        'work_dir, or TMPDIR for temporary files, to a place on another one'
    )


def _port(seen: Circumstances) -> str:
    port = os.environ.get('MASTER_PORT', '29500')
    return (
        f'port {port} is in use, most likely by another run on this machine; choose another one '
        'with PORT=29501 before tools/dist_*.sh, or MASTER_PORT=29501'
    )


def _lost_peer(seen: Circumstances) -> str:
    ranks = re.search(r'\brank (\d+)', seen.text)
    whom = f'rank {ranks[1]}' if ranks else 'another process'
    return (
        f'the connection to {whom} of the run was lost: it ended, was killed, or its machine is '
        'gone; what ended it stands in its own output, and training goes on with --resume'
    )


# What is looked for in type and text of an error, the special before the general.
KNOWN: list[tuple[str, Callable[[Circumstances], str]]] = [
    (r'Too many open files|received 0 items of ancdata', _open_files),
    (
        r'insufficient shared memory|out of shared memory|signal: Bus error|'
        r'unable to \w+ [^<]*</?torch_[^>]*>.*\((12|28)\)',
        _shared_memory,
    ),
    (
        r'DataLoader worker \(pid(\(s\))? [\d, ]+\) (is killed by signal: [\w ]+|'
        r'exited unexpectedly( with exit code -?\d+)?)|Pin memory thread exited unexpectedly',
        _killed_worker,
    ),
    (r'DataLoader timed out after (\S+) seconds', _late_batch),
    (
        r'CUDA out of memory|CUDA error: out of memory|CU(DNN|BLAS)_STATUS_ALLOC_FAILED|'
        r'^OutOfMemoryError',
        _gpu_memory,
    ),
    (
        r"^_?(Array)?MemoryError|can't allocate memory|std::bad_alloc|not enough memory|"
        r'\[Errno 12\]',
        _memory,
    ),
    (r'NVIDIA driver on your system is too old|CUDA driver version is insufficient', _old_driver),
    (
        r'No CUDA GPUs are available|Found no NVIDIA driver|not compiled with CUDA|'
        r'compiled without CUDA|CUDA driver initialization failed|invalid device ordinal|'
        r'no GPUs found|torch\.cuda\.is_available\(\) is False|no CUDA-capable device',
        _no_gpu,
    ),
    (r'no kernel image is available', _wrong_gpu),
    (r'device-side assert', _gpu_assertion),
    (r'Duplicate GPU detected', _shared_gpu),
    (r"\[Errno 28\][^:\n]*(?:: ('[^'\n]*'))?", _full_disk),
    (r'EADDRINUSE|(?i:address already in use)', _port),
    (
        r'^(?!Connection|BrokenPipe|URL|HTTP)\w+: .*(Connection closed by peer|'
        r'Connection reset by peer|Broken pipe|ncclRemoteError|NCCL communicator was aborted|'
        r'collective operation timeout|Timed out waiting|Connection was likely closed)',
        _lost_peer,
    ),
    (r'Caught (\w+) in DataLoader worker process', _raising_worker),
]
