"""What the source of a class tells about the dicts of a config that pass through it."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

# Methods of a dict that name one key, so that the key is known to be accepted.
_KEY_METHODS = {'pop', 'get', 'setdefault'}
# What everything inherits from, whose code reads nothing of the parts of one class.
_BASES = {'builtins', 'mmengine', 'torch'}


@functools.cache
def keys_read(target: Callable) -> frozenset[str]:
    """Find the keys that the code of a class or function reads from any dict.

    A part's dict passes through what holds the part, which may take keys out of it.

    Args:
        target: A class, a function or a partial.

    Returns:
        The constants of ``x['key']``, ``x.pop('key')`` and the like, in its own code and in that
        of the classes it inherits from.
    """
    return frozenset(key for _, key in filter(None, map(key_read, _code(target))))


@functools.cache
def reads_type(target: Callable, argument: str) -> bool:
    """Whether a class reads the ``type`` of a part by itself, and so may mean by it what it likes.

    Args:
        target: The class that holds the part.
        argument: The part's key, or that of the list in which it stands.

    Returns:
        Whether its code reads the key 'type' of a variable that is called so, or like one of them.
    """
    found = filter(None, map(key_read, _code(target)))
    names = {getattr(read, 'id', '') for read, key in found if key == 'type'}
    return any(name and argument.startswith(name) for name in names)


@functools.cache
def expanded_arguments(target: Callable) -> frozenset[str]:
    """Find the arguments of a dataset in which it writes out ``~``.

    Args:
        target: Its class.

    Returns:
        The names that its code, and that of the classes it inherits from, gives to ``expanduser``.
    """
    names = set()
    for node in _code(target):
        match node:
            case ast.Call(func=function, args=[ast.Name(id=name), *_]):
                if ast.unparse(function).endswith('expanduser'):
                    names.add(name)
    return frozenset(names)


@dataclass(frozen=True)
class Reads:
    """The keys that are read of a dict.

    Args:
        names: All of them.
        needed: Those that the code cannot do without.
    """

    names: frozenset[str]
    needed: frozenset[str]


@functools.cache
def attribute_reads(target: Callable, attribute: str) -> Reads:
    """Find the keys that the code of a class reads of ``self.<attribute>``.

    Args:
        target: The class.
        attribute: The attribute.

    Returns:
        The keys. One that any method reads with ``get``, or asks for, is not needed.
    """
    needed, optional = set(), set()
    for node in _code(target):
        read, key = key_read(node) or (None, '')
        if read is not None and ast.unparse(read) == f'self.{attribute}':
            (needed if isinstance(node, ast.Subscript) else optional).add(key)
    return Reads(frozenset(needed | optional), frozenset(needed - optional))


def _code(target: Callable) -> Iterator[ast.AST]:
    """What the source of a class and of those it inherits from, or of a function, consists of."""
    target = target.func if isinstance(target, functools.partial) else target
    for source in target.__mro__ if inspect.isclass(target) else (inspect.unwrap(target),):
        if getattr(source, '__module__', '').partition('.')[0] not in _BASES:
            with suppress(OSError, TypeError, SyntaxError):
                yield from ast.walk(ast.parse(textwrap.dedent(inspect.getsource(source))))


def key_read(node: ast.AST) -> tuple[ast.AST, str] | None:
    """The dict and the constant key that an expression reads; None where it reads none."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=read, attr=method), args=[ast.Constant(value=str(key)), *_]
        ) if method in _KEY_METHODS:
            return read, key
        case ast.Subscript(value=read, slice=ast.Constant(value=str(key))):
            return read, key
        case ast.Compare(left=ast.Constant(value=str(key)), comparators=[read]):
            return read, key
    return None
