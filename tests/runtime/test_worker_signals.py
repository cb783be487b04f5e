"""Workers end when the run that they load for is gone."""

import multiprocessing
import os
import signal
import time

import pytest
from torch.utils.data import DataLoader, Dataset

from mmtoken.runtime.guards.worker_signals import spare_workers


class Large(Dataset):
    """Samples of which one fills the pipe between two processes."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> bytes:
        return bytes(1 << 20)


def load(connection) -> None:
    """Begin to load, tell the workers' numbers, and wait."""
    spare_workers()
    batches = iter(DataLoader(Large(), batch_size=1, num_workers=2, collate_fn=list))
    next(batches)
    connection.send([worker.pid for worker in batches._workers])
    time.sleep(600)


def is_there(number: int) -> bool:
    """Whether a process runs, or will for ever be what is left of one."""
    try:
        with open(f'/proc/{number}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir('/proc'), reason='needs /proc')
def test_workers_end_when_the_run_is_killed():
    here, there = multiprocessing.Pipe()
    run = multiprocessing.get_context('fork').Process(target=load, args=(there,))
    run.start()
    workers = here.recv()
    time.sleep(0.5)  # until their pipe is full
    os.kill(run.pid, signal.SIGKILL)
    run.join()

    # They look every five seconds.
    deadline = time.monotonic() + 30
    while any(map(is_there, workers)) and time.monotonic() < deadline:
        time.sleep(0.2)
    left = [number for number in workers if is_there(number)]
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert left == []
