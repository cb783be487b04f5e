"""Which keywords a class or function takes, with ``**kwargs`` followed to where they end up."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from mmengine.utils import ManagerMixin
from torch import nn

from mmtoken.config_check.code import key_read

# Where the search for a constructor ends.
_PLAIN = (object, nn.Module)


@dataclass(frozen=True)
class Accepted:
    """The keywords that a call may have.

    Args:
        names: The keywords by name.
        any: Whether other keywords are taken as well.
    """

    names: frozenset[str] = frozenset()
    any: bool = False

    def __contains__(self, name: str) -> bool:
        return self.any or name in self.names

    def __or__(self, other: 'Accepted') -> 'Accepted':
        return Accepted(self.names | other.names, self.any or other.any)


@functools.cache
def accepted_keywords(target: Callable) -> Accepted:
    """Find the keywords with which a class can be built or a function called.

    A ``**kwargs`` that goes to ``super().__init__`` is followed there, and keys that are read from
    it one by one are known by name. Where its way cannot be followed or ends without a use, any
    keyword counts as accepted: the check must not refuse what works.

    Args:
        target: A class, a function or a partial.

    Returns:
        The accepted keywords.
    """
    if isinstance(target, functools.partial):
        return accepted_keywords(target.func)
    if not inspect.isclass(target):
        return _of_function(target, owner=None, cls=None)
    accepted = _of_constructor(target, target.__mro__)
    if issubclass(target, ManagerMixin):  # Built by get_instance, which takes the name.
        accepted |= Accepted(frozenset({'name'}))
    return accepted


def _of_constructor(cls: type, mro: tuple[type, ...]) -> Accepted:
    """The keywords of the first ``__init__`` along ``mro``, which is a tail of ``cls.__mro__``."""
    for index, owner in enumerate(mro):
        if owner in _PLAIN:
            return Accepted()
        if '__init__' in vars(owner):
            return _of_function(vars(owner)['__init__'], owner=mro[index:], cls=cls)
    return Accepted()


def _of_function(function: Callable, owner: tuple[type, ...] | None, cls: type | None) -> Accepted:
    """The keywords of a function, or of a constructor found at the head of ``owner``."""
    renamed = _renamed_arguments(function)
    function = inspect.unwrap(function)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # Written in C, without a signature.
        return Accepted(any=True)
    if owner is not None:
        parameters = parameters[1:]
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    accepted = Accepted(renamed | {item.name for item in parameters if item.kind in by_name})
    rest = [item.name for item in parameters if item.kind is inspect.Parameter.VAR_KEYWORD]
    return accepted | _of_rest(function, rest[0], owner, cls) if rest else accepted


def _renamed_arguments(function: Callable) -> frozenset[str]:
    """Old names that mmengine's ``deprecated_api_warning`` still lets a function take."""
    names: set[str] = set()
    while hasattr(function, '__wrapped__'):
        closure = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
        if 'name_dict' in closure:
            names |= set(closure['name_dict'].cell_contents)
        function = function.__wrapped__
    return frozenset(names)


def _of_rest(
    function: Callable, rest: str, owner: tuple[type, ...] | None, cls: type | None
) -> Accepted:
    """What the function does with its ``**rest``, as far as its source shows it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return Accepted(any=True)
    accepted = Accepted()
    understood = 0
    for node in ast.walk(tree):
        read = key_read(node)
        if isinstance(node, ast.Call) and any(_is_name(k.value, rest) for k in node.keywords):
            parents = _super_init(node, owner) if owner else None
            if parents is None:
                return Accepted(any=True)
            fixed = {keyword.arg for keyword in node.keywords}
            parent = _of_constructor(cls, parents)
            accepted |= Accepted(parent.names - fixed, parent.any)
            understood += 1
        elif read is not None and _is_name(read[0], rest):
            accepted |= Accepted(frozenset({read[1]}))
            understood += 1
    uses = sum(_is_name(node, rest) for node in ast.walk(tree))
    return accepted if 0 < uses == understood else accepted | Accepted(any=True)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _super_init(call: ast.Call, owner: tuple[type, ...]) -> tuple[type, ...] | None:
    """The classes in which ``super().__init__(...)`` looks; None for another call."""
    function = call.func
    if not (
        isinstance(function, ast.Attribute)
        and function.attr == '__init__'
        and isinstance(function.value, ast.Call)
        and _is_name(function.value.func, 'super')
    ):
        return None
    if not function.value.args:
        return owner[1:]
    # super(Grandparent, self) skips classes on purpose.
    names = [item.__name__ for item in owner]
    name = getattr(function.value.args[0], 'id', None)
    return owner[names.index(name) + 1 :] if name in names else None


@functools.cache
def has_constructor(target: Callable) -> bool:
    """Whether a class, or one that it inherits from, says how it is built; a function does."""
    classes = target.__mro__ if inspect.isclass(target) else ()
    return not classes or any('__init__' in vars(x) for x in classes if x not in _PLAIN)
