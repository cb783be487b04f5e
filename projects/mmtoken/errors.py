"""One clear sentence and exit code 2 for everything that a user can put right."""

import difflib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

Result = TypeVar('Result')
# Characters kept of what a library says, at its start and its end, where the remedy stands: some
# print all that they hold in between.
_START, _END = 200, 100
PACKAGE = Path(__file__).resolve().parent
# Where this project's tools stand: in a checkout, and in an installed package.
TOOLS = (PACKAGE.parents[1] / 'tools', PACKAGE / '.mim' / 'tools')


class UserError(ValueError):
    """What the user gave cannot work: a wrong path, key, value or combination of flags.

    The message is one sentence that names the value, what was expected, and what to do. Tools
    print it alone, so it must make sense without a traceback.
    """


class ProcessError(UserError):
    """What ended one of several processes, and may be unknown to the others: it says so itself."""


def exit_on_user_error(main: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a tool's ``main``: a :class:`UserError` is printed as one line, exit code 2.

    Every other exception keeps its traceback, since it is a fault of the program. Of several
    processes on a machine only the first one prints, so that the sentence appears once; a
    :class:`ProcessError` is printed by whom it ends.

    Args:
        main: The function a tool runs.

    Returns:
        The same function; ``SystemExit(2)`` instead of ``UserError``.
    """

    @functools.wraps(main)
    def wrapped(*args: object, **kwargs: object) -> Result:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            _exit(error)

    return wrapped


@contextmanager
def exit_tools_on_user_error() -> Iterator[None]:
    """The same for what a tool imports before its ``main``; elsewhere the error stays one."""
    try:
        yield
    except UserError as error:
        script = Path(getattr(sys.modules['__main__'], '__file__', None) or '').resolve()
        if not set(TOOLS) & set(script.parents):
            raise
        _exit(error)


def print_once(sentence: str) -> None:
    """Print a sentence to the terminal, where several processes on a machine would repeat it.

    Args:
        sentence: What to say; standard error gets it.
    """
    if os.environ.get('LOCAL_RANK', '0') == '0':
        print(sentence, file=sys.stderr)


def _exit(error: UserError) -> NoReturn:
    """Print the sentence, below what was printed before, and end the program."""
    # A pipe's is buffered, and would come out behind the sentence.
    sys.stdout.flush()
    say = functools.partial(print, file=sys.stderr)
    (say if isinstance(error, ProcessError) else print_once)(f'error: {sentence_of(error)}')
    raise SystemExit(2) from None


def sentence_of(error: UserError) -> str:
    """The message; out of a data loader's worker it comes wrapped in a traceback.

    Args:
        error: The error.
    """
    text = str(error)
    if not text.startswith('Caught UserError in '):
        return text
    return text.rpartition('UserError: ')[2].strip()


def reason_of(error: BaseException) -> str:
    """What another library's error says, on one line of a readable length.

    Args:
        error: The error.
    """
    text = ' '.join(str(error).split()).rstrip('.')
    return text if len(text) <= _START + _END else f'{text[:_START]} … {text[-_END:]}'


def named_reason(error: BaseException) -> str:
    """The same, with the type of the error, without which some say little.

    Args:
        error: The error.
    """
    return f'{type(error).__name__}: {reason_of(error)}'


def near_miss(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a sentence that suggests what may have been meant.

    Args:
        word: What the user wrote.
        known: What would have been accepted.
        cutoff: How alike two words must be, from 0 to 1; difflib's default.

    Returns:
        ``'; did you mean "x"?'``, or the empty string where nothing is near.
    """
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f'; did you mean {matches[0]!r}?' if matches else ''
