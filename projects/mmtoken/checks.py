"""What a number may be, and one clear error for what it may not."""

from numbers import Integral, Real
from typing import Any

from mmtoken.errors import UserError


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, which True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int = 1, example: int = 1) -> None:
    """Refuse what is not a whole number, or too small a one.

    Args:
        name: What the value is called.
        value: The value.
        least: The smallest allowed.
        example: A value that is allowed.

    Raises:
        UserError: If the value is refused.
    """
    if not is_whole(value) or value < least:
        raise UserError(
            f'{name} {value!r} is not a whole number from {least} up; use one, such as {example}'
        )


def check_number(
    name: str,
    value: Any,
    above: float | None = None,
    example: float = 1,
    below: float | None = None,
) -> None:
    """Refuse what is not a number, or a negative one.

    Args:
        name: What the value is called.
        value: The value.
        above: What it must be above; None for 0 and up.
        example: A value that is allowed.
        below: What it must be below; None for any number and infinity.

    Raises:
        UserError: If the value is refused.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    # What is not a number compares as False.
    if (
        not number
        or not (value >= 0 if above is None else value > above)
        or (below is not None and not value < below)
    ):
        expected = 'from 0 up' if above is None else f'above {above}'
        expected += '' if below is None else f' and below {below}'
        raise UserError(f'{name} {value!r} is not a number {expected}; use one, such as {example}')


def check_probability(name: str, value: Any, least: float = 0) -> None:
    """Refuse what is not a probability below 1.

    Args:
        name: What the value is called.
        value: The value.
        least: The smallest allowed: minus infinity where a library takes negatives as 0.

    Raises:
        UserError: If the value is refused.
    """
    if not isinstance(value, Real) or not least <= value < 1:
        raise UserError(
            f'{name} {value!r} is not a probability from 0 up to but not including 1; use one, '
            'such as 0.1'
        )
