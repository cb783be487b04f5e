"""Find what a config's ``type`` means, in the registries of its scope, without building it."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module

from mmengine.registry import Registry, root
from mmengine.utils import get_object_from_string

from mmtoken.config_check.kinds import Kind, kind_at
from mmtoken.config_check.packages import is_stand_in
from mmtoken.errors import UserError, near_miss
from mmtoken.runtime.stack import LIBRARIES, import_failure, quiet_imports

# The default scope at a place, and the others that may be asked there.
Scopes = tuple[str, ...]

# Where a name may be found that a library looks up outside its registries, by the config's key.
_OPS = {'nms', 'dqs_cfg', 'roi_layer'}


def as_scopes(scopes: str | Scopes) -> Scopes:
    """One scope or several as a tuple."""
    return (scopes,) if isinstance(scopes, str) else tuple(scopes)


@functools.cache
@quiet_imports()
def registries(scope: str) -> tuple[Registry, ...]:
    """The registries of a library, and mmengine's, which it falls back to.

    Args:
        scope: Name of the library, such as ``'mmdet'``.

    Returns:
        The library's registries in front.

    Raises:
        UserError: If there is no such library, or if its registries cannot be imported.
    """
    try:
        module = import_module(f'{scope}.registry')
        found = [item for item in vars(module).values() if isinstance(item, Registry)]
        for registry in found:
            if registry.scope == scope:
                registry.import_from_location()
    except Exception as error:  # Compiled and version-checked, these fail in many ways.
        raise import_failure(scope, error) from error
    mmengine = [item for item in vars(root).values() if isinstance(item, Registry)]
    return tuple(dict.fromkeys([*found, *mmengine]))


def has_type(node: dict) -> bool:
    """Whether a dict says what is built from it."""
    return isinstance(node.get('type'), str) or callable(node.get('type'))


def find_targets(
    name: str | Callable, scopes: str | Scopes, path: Sequence[str] = ()
) -> list[Callable]:
    """Find every class or function that a ``type`` can mean.

    Where it is not known which registry is asked, the same name may stand in several; which one it
    is only the code that builds the dict knows, so all of them count.

    Args:
        name: The value of ``type``: a name, with or without its scope, or the object itself.
        scopes: The default scope where the dict stands, or those that may be.
        path: Where the dict stands.

    Returns:
        The candidates; empty where the name is unknown.
    """
    if not isinstance(name, str):
        return [name] if callable(name) else []
    full, scopes = name, as_scopes(scopes)
    head, _, tail = name.partition('.')
    if tail and _is_scope(head):
        scopes, name = (head,), tail
    kind = kind_at(path)
    found = _look_up(name, scopes, kind)
    if not found and path and path[-1] in _OPS:
        target = getattr(import_module('mmcv.ops'), name, None)
        found = [target] if callable(target) else []
    if not found and tail:
        found = [target for target in [_import(full)] if target is not None]
    return list(dict.fromkeys(found))


def _look_up(name: str, scopes: Scopes, kind: Kind) -> list[Callable]:
    """What the registries of a kind hold under a name; of others where they may be asked too."""
    found: dict[bool, list[Callable]] = {True: [], False: []}
    for scope in scopes:
        for registry in registries(scope):
            target = registry.module_dict.get(name)
            # What only says that a package is missing is no more there than what is not.
            if target is not None and not is_stand_in(target):
                found[_is_of(registry, kind)].append(target)
    return found[True] or ([] if kind.only else found[False])


def _is_of(registry: Registry, kind: Kind) -> bool:
    """Whether a registry is of a kind; the libraries do not agree about their names."""
    name = registry.name.replace('_', ' ').replace('optimizer wrapper', 'optim wrapper')
    return name in kind.names


def inner_scopes(scopes: Scopes, targets: Iterable[Callable]) -> Scopes:
    """The scopes in which the parts of a dict may be looked up.

    Args:
        scopes: Where its own type is.
        targets: What that type can mean.

    Returns:
        The scopes, and those of the libraries whose registries hold the targets.
    """
    return tuple(dict.fromkeys([*scopes, *(own for target in targets for own in _owners(target))]))


@functools.cache
def _owners(target: Callable) -> tuple[str, ...]:
    """The libraries whose registries hold a target."""
    parents = [item for item in vars(root).values() if isinstance(item, Registry)]
    children = [child for parent in parents for child in parent.children.values()]
    owners = (child.scope for child in children if target in child.module_dict.values())
    return tuple(filter(_is_scope, dict.fromkeys(owners)))


def type_hint(name: str, scopes: str | Scopes, path: Sequence[str] = ()) -> str:
    """The end of a sentence that suggests which ``type`` may have been meant.

    Args:
        name: What the config says.
        scopes: The default scope there, or those that may be.
        path: Where the dict stands.

    Returns:
        The same name in another library, with its scope in front, or one like it: of the scope, or
        one of mmpretrain's, since the models of this project are there; the empty string where
        nothing is near.
    """
    scopes, kind = as_scopes(scopes), kind_at(path)
    prefix, _, _ = name.rpartition('.')
    head = name.partition('.')[0]
    if prefix and _is_scope(head):
        return near_miss(name, [f'{prefix}.{known}' for known in _names((head,), kind)], 0.85)
    known = _names(scopes, kind)
    hint = near_miss(name, known, cutoff=0.9)
    if hint:
        return hint
    for scope in (library.module for library in LIBRARIES if library.module not in scopes):
        # Another library that cannot be imported is no reason to say nothing about this type.
        with suppress(UserError):
            if _is_scope(scope) and _look_up(name, (scope,), kind):
                if scopes == ('mmengine',):
                    return f"; it is {scope}'s, so set default_scope = {scope!r}"
                return f"; did you mean '{scope}.{name}'?"
    others = [f'mmpretrain.{other}' for other in _names(('mmpretrain',), kind)]
    return near_miss(name, known) or near_miss(f'mmpretrain.{name}', others, cutoff=0.85)


def _names(scopes: Scopes, kind: Kind) -> list[str]:
    """The names that a place knows."""
    every = [registry for scope in scopes for registry in registries(scope)]
    return [
        name for item in every if _is_of(item, kind) or not kind.names for name in item.module_dict
    ]


@functools.cache
@quiet_imports()
def _is_scope(name: str) -> bool:
    """Whether the first part of a dotted ``type`` names a library with registries."""
    try:
        return inspect.ismodule(import_module(f'{name}.registry'))
    except Exception:  # Compiled and version-checked, the libraries fail in many ways.
        return False


@functools.cache
@quiet_imports()
def _import(path: str) -> Callable | None:
    """The object of a full import path, as mmengine's pure-Python configs write it."""
    try:
        found = get_object_from_string(path)
    except Exception:  # Importing a module runs it, so this can fail in any way.
        return None
    return found if callable(found) else None
