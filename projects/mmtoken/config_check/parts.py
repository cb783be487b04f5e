"""The dicts of a config whose type is known."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from mmtoken.config_check.schema import RUN_KEYS
from mmtoken.config_check.walk import Place, walk

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def find_parts(content: dict, scope: str, *under: str) -> Iterator[Place]:
    """Find the dicts that have a known type, below the keys that a run reads.

    Args:
        content: The config.
        scope: Its default scope.
        *under: The top-level keys to look below; all by default.

    Yields:
        The dicts, from the outside in, each with one target at least.
    """
    for key in under or sorted(RUN_KEYS):
        if key in content:
            for place in walk((key,), content[key], (scope,)):
                if place.targets:
                    yield place


def type_name(part: Place) -> str:
    """The type of a part as the user knows it, without its scope."""
    return getattr(part.targets[0], '__name__', str(part.targets[0]))


def default_of(target: Callable, argument: str) -> Any:
    """What a class or function takes for an argument that it is not given.

    Args:
        target: The class or function; of a class, those that it inherits from count as well.
        argument: The argument.

    Returns:
        The default; None where there is none, or no such argument.
    """
    owners = (
        [owner for owner in inspect.getmro(target) if '__init__' in vars(owner)]
        if (inspect.isclass(target))
        else [target]
    )
    for owner in owners:
        try:
            parameter = inspect.signature(owner).parameters.get(argument)
        except (TypeError, ValueError):  # Written in C.
            continue
        if parameter is not None:
            return None if parameter.default is inspect.Parameter.empty else parameter.default
    return None


def dict_at(content: Any, *keys: str) -> dict:
    """The dict at a place of a config.

    Args:
        content: The config, or a dict of it.
        *keys: The way to the place.

    Returns:
        The dict; an empty one where there is none, or something else.
    """
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def text_at(node: dict, key: str) -> str:
    """The text under a key of a dict; an empty one where there is none, or something else."""
    return node[key] if isinstance(node.get(key), str) else ''
