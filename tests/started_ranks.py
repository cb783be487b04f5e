"""Processes that train together, without a launcher."""

import multiprocessing
from collections.abc import Callable
from typing import Any


def run_two_ranks(run: Callable, *arguments: Any) -> None:
    """Run a function in two processes, and hold both to an end without an error.

    Args:
        run: Called with the rank, then the arguments.
        *arguments: Of both.
    """
    context = multiprocessing.get_context('fork')
    ranks = [context.Process(target=run, args=(rank, *arguments)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    try:
        for process in ranks:
            process.join(60)
        assert [process.exitcode for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
