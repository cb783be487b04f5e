"""A hook for configs: sends its process a signal at a place of the run."""

import os
import signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class SendSignal(Hook):
    """Sends a signal before an iteration.

    Args:
        at: Which iteration.
        number: The signal.
        rank: Of several processes, the one that gets it.
    """

    def __init__(self, at: int, number: int = signal.SIGTERM, rank: int = 0) -> None:
        self.at, self.number, self.rank = at, number, rank

    def before_train_iter(self, runner, *args, **kwargs) -> None:
        if runner.iter == self.at and get_rank() == self.rank:
            os.kill(os.getpid(), self.number)
