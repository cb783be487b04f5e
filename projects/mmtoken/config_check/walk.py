"""Every dict of a config, with the scopes in which its type is looked up."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mmtoken.config_check.types import Scopes, find_targets, has_type, inner_scopes

# Types whose arguments are those of another library, and keys whose dicts have types that no
# registry holds.
_FOREIGN_TYPES = {'Albu', 'Albumentations'}
_FOREIGN_KEYS = re.compile(r'adapt_cfg|clip_grad|\w+_trans')


@dataclass(frozen=True)
class Place:
    """One dict of a config.

    Args:
        path: Where it stands, such as ``('model', 'backbone')``.
        node: The dict.
        scopes: Where its type is looked up: in the default scope there, and below a part of
            another library in that one as well, since which of them it asks for its own parts only
            its code knows.
        targets: What its type can mean; empty where it has none or an unknown one.
        owners: The same of the nearest typed dict around it, whose code reads this one.
    """

    path: tuple[str, ...]
    node: dict
    scopes: Scopes
    targets: tuple[Callable, ...]
    owners: tuple[Callable, ...] = field(default=())

    def __str__(self) -> str:
        return '.'.join(self.path)


def walk(
    path: tuple[str, ...], node: Any, scopes: Scopes, owners: tuple[Callable, ...] = ()
) -> Iterator[Place]:
    """Find the dicts of a subtree, from the outside in.

    What stands below a type that is not there cannot be judged, and is left out.

    Args:
        path: Where the subtree stands.
        node: The subtree.
        scopes: As of :class:`Place`.
        owners: As of :class:`Place`.

    Yields:
        The dicts.
    """
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from walk((*path, str(index)), child, scopes, owners)
    elif isinstance(node, dict) and not _FOREIGN_KEYS.fullmatch(path[-1]):
        place = place_at(path, node, scopes, owners)
        yield place
        named = {getattr(target, '__name__', '') for target in place.targets}
        if named & _FOREIGN_TYPES or (has_type(node) and not place.targets):
            return
        inner = inner_scopes(place.scopes, place.targets)
        for key, child in node.items():
            yield from walk((*path, str(key)), child, inner, place.targets or owners)


def place_at(
    path: tuple[str, ...], node: dict, scopes: Scopes, owners: tuple[Callable, ...] = ()
) -> Place:
    """One dict as a :class:`Place`.

    Args:
        path: Where it stands.
        node: The dict.
        scopes: Where types are looked up around it.
        owners: As of :class:`Place`.
    """
    scopes = (node['_scope_'],) if node.get('_scope_') else scopes
    targets = find_targets(node['type'], scopes, path) if has_type(node) else []
    return Place(path, node, scopes, tuple(targets), owners)
