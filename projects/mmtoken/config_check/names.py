"""Keys that nothing takes and types that nothing registers.

mmengine accepts a misspelt key, and reports a misspelt type after the model before it was built.
Here each dict is held against what its ``type`` takes; the registries are asked, nothing is built.
"""

from collections.abc import Iterator
from typing import Any

from mmtoken.config_check.code import keys_read, reads_type
from mmtoken.config_check.kinds import kind_at
from mmtoken.config_check.packages import why_not_built, why_unregistered
from mmtoken.config_check.parts import dict_at
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import RUN_KEYS, accepted_keys
from mmtoken.config_check.signature import has_constructor
from mmtoken.config_check.types import has_type, type_hint
from mmtoken.config_check.walk import Place, walk
from mmtoken.errors import near_miss

DEFAULT_HOOKS = {
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
    'visualization',
}
# Where any keyword is taken, only what is almost a known one is taken for a slip.
_ALMOST = 0.85


def wrong_keys(content: dict, scope: str) -> Iterator[Problem]:
    """Find the keys and types below the top level that nothing would read.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        One problem for each.
    """
    yield from _of_default_hooks(dict_at(content, 'default_hooks'))
    for key in sorted(RUN_KEYS & content.keys()):
        for place in walk((key,), content[key], (scope,)):
            if has_type(place.node) and not place.targets:
                yield _unknown_type(place)
            else:
                yield from _missing_package(place)
                yield from _of_dict(place)


def _of_default_hooks(hooks: dict) -> Iterator[Problem]:
    """Names of default hooks that are nearly those which mmengine replaces."""
    for name in hooks:
        hint = near_miss(str(name), DEFAULT_HOOKS, cutoff=0.8)
        # `checkpoint_2` is another one of its kind on purpose.
        if hint and str(name).rstrip('_0123456789') not in DEFAULT_HOOKS:
            yield Problem(f'default_hooks.{name} is not one of the default hooks{hint}')


def _unknown_type(place: Place) -> Problem:
    """Say that a type is not registered, or why it cannot be."""
    name, kind = place.node['type'], kind_at(place.path)
    if not isinstance(name, str):
        return Problem(f'{place}.type {name!r} is neither a name nor a class; give one of them')
    reason = why_unregistered(name, place.scopes)
    if reason:
        return Problem(f'{place}.type {name!r} cannot be built: {reason}')
    hint = type_hint(name, place.scopes, place.path)
    key = next(part for part in reversed(place.path) if not part.isdigit())
    certain = not any(reads_type(owner, key) for owner in place.owners)
    hint = hint or '; import the module that registers it in custom_imports'
    among = f' as a {kind.word}' if kind.only else ''
    scopes = ' or '.join(map(repr, place.scopes))
    return Problem(
        f'{place}.type {name!r} is not registered{among} in the scope {scopes}{hint}', certain
    )


def _missing_package(place: Place) -> Iterator[Problem]:
    """The package that a class needs which is there; of what is no model, a run may build none."""
    for reason in filter(None, map(why_not_built, place.targets)):
        yield Problem(
            f'{place}.type {place.node["type"]!r} cannot be built: {reason}',
            certain=place.path[0] == 'model',
        )


def _of_dict(place: Place) -> Iterator[Problem]:
    """The keys that a dict has and nothing takes."""
    accepted = accepted_keys(place.path, place.node, place.scopes)
    if accepted is None:
        return
    # A class without a constructor may be built in a way of its own.
    certain = all(map(has_constructor, place.targets))
    for key in place.node:
        if not isinstance(key, str) or key in accepted.names:
            continue
        hint = near_miss(key, accepted.names, _ALMOST if accepted.any else 0.6)
        if not hint and accepted.any:
            continue
        # What holds a part may take keys out of its dict before it builds it.
        if not any(key in keys_read(owner) for owner in place.owners):
            whose = _whose(place.node.get('type'))
            yield Problem(f'{place} does not take {key!r}{whose}{hint}', certain)


def _whose(name: Any) -> str:
    """Name the type that does not take a key."""
    if name is None:
        return ''
    return f' (its type is {name if isinstance(name, str) else name.__name__})'
