"""What goes wrong around a run and is no fault of the program: one sentence, with what to change.

A worker that the system killed, a lack of memory, a GPU that is not there (`known_failures`). torch
says so in the last of many lines, and seldom what helps. Our design.
"""

import logging
import os
import re
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from logging import FileHandler

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.base_loop import BaseLoop
from torch.distributed import distributed_c10d

from mmtoken.errors import ProcessError, UserError, sentence_of
from mmtoken.runtime.known_failures import KNOWN, Circumstances


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
    for pattern, answer in KNOWN:
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
