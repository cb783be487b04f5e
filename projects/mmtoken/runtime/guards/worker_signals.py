"""Data loading processes leave it to the run to answer signals, and end when it is gone.

Ctrl-C, and whoever ends a whole group of processes, reaches them, too. They would end before the
run has saved, and take it with them. When the run is killed, a worker of torch whose batches fill
the pipe to it waits for ever to hand them over; with the random states that a resumable loader's
bring along, any does. Our design.
"""

import os
import signal
from typing import Any

from torch.utils.data._utils import worker

_worker_loop = worker._worker_loop


def spare_workers() -> None:
    """Have the data loading processes that this process starts from here on ignore signals.

    They end with the run, which ends them by SIGTERM, and when it is gone.
    """
    worker._worker_loop = _sparing_loop


def _sparing_loop(*args: Any) -> None:
    """What torch lets such a process do."""
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    run = os.getppid()
    _worker_loop(*args)
    if os.getppid() != run:
        # Nobody reads what is still to be handed over.
        os._exit(1)
