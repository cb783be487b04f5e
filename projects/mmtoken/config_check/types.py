"""Find what a config's ``type`` means, in the registries of its scope, without building it."""

import functools
import inspect
from collections.abc import Callable
from importlib import import_module

from mmengine.registry import Registry, root
from mmengine.utils import get_object_from_string

from mmtoken.errors import near_miss
from mmtoken.runtime.stack import import_failure, quiet_imports

# Where a name may be found that a library looks up outside its registries, by the config's key.
_OPS = {'nms', 'dqs_cfg', 'roi_layer'}


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


def find_targets(name: str | Callable, scope: str, key: str = '') -> list[Callable]:
    """Find every class or function that a ``type`` can mean.

    The same name may stand in several registries; which one a library asks is known only to the
    code that builds the dict, so all of them count.

    Args:
        name: The value of ``type``: a name, with or without its scope, or the object itself.
        scope: The default scope where the dict stands.
        key: The key under which the dict stands.

    Returns:
        The candidates; empty where the name is unknown.
    """
    if not isinstance(name, str):
        return [name]
    head, _, tail = name.partition('.')
    if tail and _is_scope(head):
        scope, name = head, tail
    found = [registry.module_dict.get(name) for registry in registries(scope)]
    found = [target for target in found if target is not None]
    if not found and key in _OPS:
        target = getattr(import_module('mmcv.ops'), name, None)
        found = [target] if callable(target) else []
    if not found and tail and not _is_scope(head):
        found = [target for target in [_import(name)] if target is not None]
    return list(dict.fromkeys(found))


def type_hint(name: str, scope: str) -> str:
    """The end of a sentence that suggests which ``type`` may have been meant.

    Args:
        name: What the config says.
        scope: The default scope there.

    Returns:
        A name of the scope, or one of mmpretrain's with its scope in front, since the models of
        this project are there; the empty string where nothing is near.
    """
    known = {name for registry in registries(scope) for name in registry.module_dict}
    others = {
        f'mmpretrain.{name}'
        for registry in registries('mmpretrain')
        for name in registry.module_dict
    }
    qualified = f'mmpretrain.{name}'
    if qualified in others:
        return near_miss(qualified, others)
    return near_miss(name, known) or near_miss(qualified, others, cutoff=0.85)


@quiet_imports()
def _is_scope(name: str) -> bool:
    """Whether the first part of a dotted ``type`` names a library with registries."""
    try:
        return inspect.ismodule(import_module(f'{name}.registry'))
    except ImportError:
        return False


@quiet_imports()
def _import(path: str) -> Callable | None:
    """The object of a full import path, as mmengine's pure-Python configs write it."""
    try:
        return get_object_from_string(path)
    except Exception:  # Importing a module runs it, so this can fail in any way.
        return None
