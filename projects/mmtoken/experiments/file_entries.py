"""What a dict of a study's, a search's or a scoreboard's file says: its names and what they are.

A table of them has the required names and the optional ones, each with a type or a union of types;
``object`` where something else looks at the value.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

from mmengine.config import Config

from mmtoken.errors import UserError

LIST = list | tuple
WORDS = {
    str: 'a text',
    Mapping: 'a dict',
    list: 'a list',
    tuple: 'a list',
    int: 'a whole number',
    float: 'a number',
    bool: 'True or False',
    NoneType: 'None',
}
Table = tuple[Mapping[str, Any], Mapping[str, Any]]


def check_file(place: str, cfg: Config, table: Table) -> None:
    """As :func:`check_entry`, for a file, whose names with an underscore are its own.

    Args:
        place: What it is, for the error.
        cfg: What it says.
        table: What it must say, and what it may.

    Raises:
        UserError: For the first that does not fit, or if it imports what is not there.
    """
    try:
        own = {name: value for name, value in cfg.items() if not name.startswith('_')}
    except ImportError as error:  # Without a _base_, mmengine imports as late as this.
        raise UserError(
            f'{place} imports a module that fails to import: {error}; install it, or put its '
            'folder on PYTHONPATH'
        ) from error
    check_entry(place, own, table)


def check_entry(place: str, given: Any, table: Table) -> None:
    """Refuse names that are missing, names that nothing reads, and values of another type.

    Args:
        place: Where they stand, for the error.
        given: What stands there.
        table: What must stand there, and what may.

    Raises:
        UserError: For the first that does not fit.
    """
    if not isinstance(given, Mapping):
        raise UserError(f'{place} is {given!r}, and no dict; write it as one')
    required, optional = table
    missing = [name for name in required if name not in given]
    if missing:
        raise UserError(f'{place} does not set {", ".join(missing)}; add it')
    unknown = sorted(given.keys() - {*required, *optional})
    if unknown:
        raise UserError(
            f'{place} sets {", ".join(unknown)}, which nothing reads; it knows '
            f'{", ".join((*required, *optional))}, '
            'and names of your own at the top of the file start with an underscore'
        )
    for name, kind in {**required, **optional}.items():
        if name in given and not _is(given[name], kind):
            words = ' or '.join(dict.fromkeys(WORDS[each] for each in get_args(kind) or [kind]))
            raise UserError(f'{place} has {name}={given[name]!r}; give {words}')


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):  # Which Python takes for whole numbers.
        return kind in (bool, object)
    return isinstance(value, kind)
