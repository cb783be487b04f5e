"""What goes wrong around a run and is no fault of the program: one sentence, with what to change.

A worker that the system killed, a lack of memory, a GPU that is not there. torch says so in the
last of many lines, and seldom what helps. Our design; the texts are torch's.
"""

import logging
import os
import re
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import FileHandler

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.base_loop import BaseLoop
from torch.distributed import distributed_c10d

from mmtoken.errors import ProcessError, UserError, sentence_of


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


@contextmanager
def explain_failures(cfg: Config) -> Iterator[None]:
    """Turn failures of the machine into sentences; the log file keeps the traceback.

    Of several processes that joined, any may be the only one to know of a :class:`UserError`.
    The first one on a machine that comes to a sentence says it.

    Args:
        cfg: The config that runs.

    Raises:
        ProcessError: In place of an error whose cause is known, and of a sentence that is to be
            said by this one of several processes; others pass as they are.
        SystemExit: In place of a sentence that another process has said.
    """
    try:
        yield
    except UserError as error:
        if not _joined():
            raise
        if _said_before(sentence_of(error)):
            raise SystemExit(2) from error
        raise ProcessError(str(error)) from error
    except Exception as error:
        sentence = explain(error, cfg)
        if sentence is None:
            raise
        raise ProcessError(f'{_rank()}{sentence}{keep_traceback(error)}') from error


def explain(error: Exception, cfg: Config) -> str | None:
    """Say what an error means and what to change.

    Args:
        error: What a run raised.
        cfg: Its config.

    Returns:
        A sentence, or None where the error may be the program's.
    """
    text = f'{type(error).__name__}: {error}'
    loader = _loader_in_use(error)
    settings = cfg.get(loader) or {}
    for pattern, answer in _KNOWN:
        if match := re.search(pattern, text, re.DOTALL):
            circumstances = Circumstances(
                text, match, loader, settings.get('batch_size'), settings.get('num_workers')
            )
            return answer(circumstances)
    return None


def _loader_in_use(error: Exception) -> str:
    """The data loader of the innermost loop that an error passed through."""
    name = 'train_dataloader'
    for frame, _ in traceback.walk_tb(error.__traceback__):
        loop = frame.f_locals.get('self')
        if isinstance(loop, BaseLoop):
            kinds = {ValLoop: 'val_dataloader', TestLoop: 'test_dataloader'}
            name = next((kinds[kind] for kind in kinds if isinstance(loop, kind)), name)
    return name


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
_KNOWN: list[tuple[str, Callable[[Circumstances], str]]] = [
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


def _joined() -> bool:
    """Whether this process has joined others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _said_before(sentence: str) -> bool:
    """Whether another process of this machine has said a sentence; from now on one has."""
    try:
        store = distributed_c10d._get_default_store()
        return store.add(f'said on {socket.gethostname()}: {sentence}', 1) > 1
    except Exception:  # Who keeps the store has gone, in one of several ways.
        return False


def _rank() -> str:
    """Which of several processes speaks."""
    joined = _joined()
    rank = torch.distributed.get_rank() if joined else int(os.environ.get('RANK', 0))
    several = joined or int(os.environ.get('WORLD_SIZE', 1)) > 1
    return f'rank {rank}: ' if several else ''


def keep_traceback(error: Exception) -> str:
    """Write an error's traceback to the log file of the run.

    Args:
        error: The error.

    Returns:
        The end of a sentence that says where; the empty string where there is no file.
    """
    logger = MMLogger.get_current_instance()
    record = logger.makeRecord(
        logger.name,
        logging.ERROR,
        __file__,
        0,
        'the run ended',
        (),
        (type(error), error, error.__traceback__),
    )
    files = [handler for handler in logger.handlers if isinstance(handler, FileHandler)]
    for handler in files:
        handler.handle(record)
        handler.flush()
    return f'; the traceback is in {files[0].baseFilename}' if files else ''
