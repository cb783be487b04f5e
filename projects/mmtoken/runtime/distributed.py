"""Start the processes of a distributed run, on CPUs too, where mmengine cannot."""

import atexit
import gc
import logging
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed

from mmtoken.errors import UserError, print_once

# What each launcher's own program sets, and the command that makes use of it.
_VARIABLES = {
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_LOCAL_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'MASTER_ADDR',
    ),
}
# The number of processes on this machine.
_LOCAL_SIZES = {'pytorch': 'LOCAL_WORLD_SIZE', 'mpi': 'OMPI_COMM_WORLD_LOCAL_SIZE'}
_STARTERS = {'pytorch': 'tools/dist_*.sh or torchrun', 'slurm': 'tools/slurm_*.sh', 'mpi': 'mpirun'}


def prepare_launch(cfg: Config) -> None:
    """Check that the launcher has started this process, and let CPUs train together with gloo.

    On a machine without a GPU, mmengine would look for one to put the process on, and hand its
    number to torch's ``DistributedDataParallel``. That a run uses the processor although there
    seems to be a GPU is said.

    Args:
        cfg: The config with its ``launcher``; changed in place on a CPU.

    Raises:
        UserError: If a variable of the launcher is not set, or if there are more processes than
            GPUs.
    """
    launcher = cfg.launcher
    _look_for_unseen_gpus()
    if launcher == 'none':
        return
    missing = [name for name in _VARIABLES[launcher] if name not in os.environ]
    if missing:
        raise UserError(
            f'--launcher {launcher}: {", ".join(missing)} is not set in the environment; '
            f'start the processes with {_STARTERS[launcher]}, or leave out --launcher'
        )
    # Under Slurm each process may be shown a GPU of its own alone.
    processes = int(os.environ.get(_LOCAL_SIZES.get(launcher, ''), 1))
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise UserError(
            f'{processes} processes were started on a machine with {gpus} GPU(s); start one on each'
        )
    if get_device() == 'cpu':
        _join_on_cpu(cfg)


def leave_launch(code: int = 0) -> None:
    """Leave the group of processes, where there is one, and end its threads.

    Threads that outlive the interpreter may drop a tensor and abort a process whose work is done
    ("terminate called without an active exception"). They end with the last reference to the group,
    which a wrapped model has: leave when the runner is out of reach. Where something refers to it
    all the same, as one calibration in five did, the interpreter ends before it could come to that.

    Args:
        code: With which the program is about to end.
    """
    if is_distributed():
        several = torch.distributed.get_world_size() > 1
        torch.distributed.destroy_process_group()
        gc.collect()
        if several:
            atexit.register(_end_at_once, code)


def _end_at_once(code: int) -> None:
    """End the program when all is written, without taking the interpreter apart."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _look_for_unseen_gpus(devices: Path = Path('/dev')) -> None:
    """Say so where a GPU is meant to be used, or is there, and torch sees none."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    # Who sets it to these wants none.
    if get_device() != 'cpu' or visible in ('', '-1'):
        return
    files = sorted(file.name for file in devices.glob('nvidia[0-9]*'))
    if visible is None and not files:
        return
    there = (
        f'CUDA_VISIBLE_DEVICES is {visible}' if visible else f'this machine has {", ".join(files)}'
    )
    remedy = 'look with nvidia-smi for the GPUs that there are and the age of their driver'
    if torch.version.cuda is None:
        remedy = 'that torch was built without CUDA, so install one that was built with it'
    print_once(
        f'warning: the run uses the processor, since torch {torch.__version__} sees no GPU, though '
        f'{there}; {remedy}, or set CUDA_VISIBLE_DEVICES=-1 to use the processor'
    )


def _join_on_cpu(cfg: Config) -> None:
    """Join the other processes, and keep the model's wrapper from asking for a GPU."""
    if cfg.launcher != 'pytorch':
        raise UserError(
            f'--launcher {cfg.launcher} needs a GPU for each process, and torch sees none; '
            'on CPUs start them with torchrun and --launcher pytorch'
        )
    backend = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('backend')
    if backend not in (None, 'gloo'):
        print_once(
            f'the processes talk through gloo in place of {backend}, since torch sees no GPU'
        )
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)
    torch.distributed.init_process_group('gloo')
