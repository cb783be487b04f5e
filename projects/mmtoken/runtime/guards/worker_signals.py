"""Data loading processes leave it to the run to answer signals.

Ctrl-C, and whoever ends a whole group of processes, reaches them, too. They would end before the
run has saved, and take it with them. Our design.
"""

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
    _worker_loop(*args)
