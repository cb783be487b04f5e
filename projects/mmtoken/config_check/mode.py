"""What is done about a config's problems: refuse the config, say them and go on, or look away."""

import os
from collections.abc import Iterable

from mmtoken.config_check.problem import Problem
from mmtoken.errors import UserError, near_miss, print_once

MODES = ('error', 'warn', 'off')
# What the mode is where no flag says it, also for the runs that a tool starts.
VARIABLE = 'MMTOKEN_CHECK'


def check_mode(flag: str | None = None) -> str:
    """What is done about problems: the flag's value, else the variable's, else ``'error'``.

    Args:
        flag: The value of ``--check``; None where it was not given.

    Returns:
        One of ``MODES``.

    Raises:
        UserError: If the variable has another value.
    """
    mode = flag or os.environ.get(VARIABLE) or 'error'
    if mode not in MODES:
        remedy = near_miss(mode, MODES) or f'; use one of {", ".join(MODES)}'
        raise UserError(f'the environment variable {VARIABLE} is {mode!r}{remedy}')
    return mode


def hand_on(flag: str | None) -> None:
    """Have the runs that a tool starts do what its own flag says.

    Args:
        flag: The value of ``--check``; None where it was not given.
    """
    if flag:
        os.environ[VARIABLE] = flag


def report(problems: Iterable[Problem], mode: str | None = None, prefix: str = '') -> None:
    """Refuse what is certainly wrong, and say what may be.

    Args:
        problems: What was found; not looked for where the mode is ``'off'``.
        mode: As for :func:`check_mode`. With ``'warn'``, all problems are only said.
        prefix: What each sentence starts with.

    Raises:
        UserError: For the first problem that is certain, where the mode is ``'error'``.
    """
    mode = check_mode(mode)
    if mode == 'off':
        return
    for problem in dict.fromkeys(problems) if mode == 'warn' else problems:
        sentence = f'{prefix}{problem.text}'
        if problem.certain and mode == 'error':
            raise UserError(f'{sentence} (--check=warn goes on all the same)')
        print_once(f'warning: {sentence}')
