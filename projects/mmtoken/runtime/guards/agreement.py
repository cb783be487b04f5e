"""What several processes tell each other about a run, so that they end it together."""

import torch
from mmengine.dist import get_world_size
from torch import distributed

from mmtoken.errors import UserError


class Agreement:
    """Numbers and errors that one of several processes has and all of them must act on.

    They go through the processors, so that no process waits for its GPU. All processes create it,
    and call its methods, at the same places. With one process nothing is sent. Our design.
    """

    def __init__(self) -> None:
        self._alone = get_world_size() == 1
        self._group = None
        self._sent: tuple[distributed.Work, torch.Tensor] | None = None
        if not self._alone and distributed.get_backend() != 'gloo':
            self._group = distributed.new_group(backend='gloo')

    def largest_of_last(self, value: int) -> int:
        """Send a number, and get the largest that the processes sent at the call before.

        What is sent now arrives while the next step is computed, so that no process waits.

        Args:
            value: This process's number.

        Returns:
            The same number in all processes: 0 at the first call. With one process its own.
        """
        if self._alone:
            return value
        before = self._receive()
        number = torch.tensor(value)
        work = distributed.all_reduce(
            number, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        self._sent = work, number
        return before

    def least(self, value: int) -> int:
        """The least number of all processes, at once."""
        if self._alone:
            return value
        number = torch.tensor(value)
        distributed.all_reduce(number, distributed.ReduceOp.MIN, group=self._group)
        return int(number)

    def raise_together(self, error: Exception | None) -> None:
        """Raise in every process what one of them found.

        Args:
            error: This process's error, if it has one.

        Raises:
            Exception: Its own error.
            UserError: The first one of the others.
        """
        sentences = []
        if not self._alone:
            sentences = [''] * get_world_size()
            distributed.all_gather_object(sentences, _sentence(error), group=self._group)
        if error is not None:
            raise error
        for sentence in filter(None, sentences):
            raise UserError(sentence)

    def close(self) -> None:
        """Take what is under way, and forget the group, whose threads end with it."""
        self._receive()
        self._group, self._alone = None, True

    def _receive(self) -> int:
        if self._sent is None:
            return 0
        (work, number), self._sent = self._sent, None
        work.wait()
        return int(number)


def _sentence(error: Exception | None) -> str:
    if error is None or isinstance(error, UserError):
        return str(error or '')
    return f'another process ended with {type(error).__name__}: {error}'
