"""A runner whose long tables go to its log file alone, so that what matters stays on the screen.

mmengine logs the environment, the whole config, every hook at every place and every group of
parameters, 300 to 700 lines, before anything happens; an error is then hard to find. Our design.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmtoken.config_check.types import registries
from mmtoken.runtime.building import BlamingRunner, blame_parts


def build_runner(cfg: Config, print_config: bool = False) -> Runner:
    """Build mmengine's runner, or the config's own, with a quiet start.

    Args:
        cfg: The config.
        print_config: Whether the config is printed.

    Returns:
        The runner.
    """
    # Imports the library, whose noise is kept out, where no check of the config did.
    registries(cfg.get('default_scope') or 'mmengine')
    kind = cfg.get('runner_type', 'Runner')
    own = RUNNERS.get(kind) if isinstance(kind, str) else kind
    mixed = (_QuietStart, BlamingRunner, own)
    with blame_parts(cfg):
        return type(own.__name__, mixed, {'_print_config': print_config}).from_cfg(cfg)


class _Terminal(logging.Filter):
    """What a logger shows on the terminal: everything, or warnings alone while it is quiet."""

    quiet = False

    def filter(self, record: logging.LogRecord) -> bool:
        return not self.quiet or record.levelno >= logging.WARNING

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Keep all but warnings from the terminal."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before


class _QuietStart:
    """Mixed into a runner: quiet while it is built, and while its parameters are grouped."""

    _print_config: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._terminal = _Terminal()
        with self._terminal.hushed():
            super().__init__(*args, **kwargs)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """The runner's logger, which writes everything into its file."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(self._terminal)
            elif is_main_process():
                print(f'log, config and environment: {handler.baseFilename}')
        if self._print_config and is_main_process():
            print(self.cfg.pretty_text)
        return logger

    def build_optim_wrapper(self, *args: Any, **kwargs: Any) -> Any:
        """The optimizer, whose constructor logs every group of parameters, or every parameter."""
        with self._terminal.hushed():
            return super().build_optim_wrapper(*args, **kwargs)
