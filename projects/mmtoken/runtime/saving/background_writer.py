"""Write files while training goes on."""

import sys
import threading
from collections.abc import Callable

from mmtoken.errors import UserError

_writers: set['BackgroundWriter'] = set()


class BackgroundWriter:
    """One thread at a time that writes; the interpreter does not end before it has. Our design."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether a write has ended with an error that was not raised yet."""
        return self._error is not None

    def start(self, write: Callable[[], None]) -> None:
        """Write, when nothing else is being written any more: :meth:`wait` before.

        Args:
            write: Does the work.
        """
        # No daemon: an error elsewhere, or the end of the run, lets it finish.
        self._thread = threading.Thread(target=self._run, args=(write,), name='checkpoint')
        _writers.add(self)
        self._thread.start()

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            Exception: What ended the write.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        _writers.discard(self)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # Raised where the run waits for it.
            self._error = error
            if not threading.main_thread().is_alive():  # Nobody does.
                kind = '' if isinstance(error, UserError) else f'{type(error).__name__}: '
                print(f'error: {kind}{error}', file=sys.stderr)


def wait_for_writes() -> None:
    """Wait for what runs of this process that an error has ended are still writing."""
    for writer in list(_writers):
        if writer._thread is not None:
            writer._thread.join()
