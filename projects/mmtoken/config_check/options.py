"""Check that what ``--cfg-options`` sets is there to be set."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from mmtoken.config_check.mode import report
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import RUN_KEYS, accepted_keys, find_places
from mmtoken.config_check.types import as_scopes, inner_scopes
from mmtoken.config_check.walk import Place, place_at
from mmtoken.errors import near_miss


def check_options(cfg: Config, options: dict[str, Any], mode: str | None = None) -> None:
    """Refuse an override that would land where nothing reads it.

    mmengine creates whatever a dotted key names, so a misspelt one changes nothing and says
    nothing. So does a right one that names a variable of the config, since its value was copied
    to the places that use it when the file was read.

    Args:
        cfg: The config, before the merge.
        options: Dotted keys and their values.
        mode: As for ``mmtoken.config_check.mode.check_mode``.

    Raises:
        UserError: For the first key that is out of place.
    """
    content = cfg.to_dict()
    _retype(content, options)
    report(_misplaced(content, options), mode)


def _retype(content: dict, options: dict[str, Any]) -> None:
    """Give what an option makes another type that type, which decides on the keys of the others."""
    for key, kind in options.items():
        *parents, last = key.split('.')
        if last != 'type':
            continue
        node: Any = content
        for part in parents:
            if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node['type'] = kind


def _misplaced(content: dict, options: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the keys of all options."""
    for key in options:
        root = key.partition('.')[0]
        if root in content and root not in RUN_KEYS:
            yield Problem(_variable(root, content))
            continue
        problem = _problem(key.split('.'), content)
        if problem:
            yield Problem(f'--cfg-options {key}: {problem}')


def _problem(parts: list[str], content: dict) -> str | None:
    """What is wrong with one dotted key, or None."""
    node, scopes = content, as_scopes(content.get('default_scope') or 'mmengine')
    for depth, part in enumerate(parts):
        place = '.'.join(parts[:depth]) or 'the config'
        if isinstance(node, dict):
            here = place_at(tuple(parts[:depth]), node, scopes)
            if part not in node:
                return _missing(here, part, place)
            node, scopes = node[part], inner_scopes(here.scopes, here.targets)
        elif isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                return f'{place} is a list of {len(node)}, so {part!r} is no index of it'
            node = node[int(part)]
        else:
            return f'{place} is {node!r}, which has no key {part!r}'
    return None


def _missing(here: Place, part: str, place: str) -> str | None:
    """Whether a key that the config does not have may be added to one of its dicts."""
    accepted = accepted_keys(here.path, here.node, here.scopes)
    if accepted is None:  # Nothing is known about this dict but what stands in it.
        hint = near_miss(part, map(str, here.node), cutoff=0.75)
        return f'{place} has no key {part!r}{hint}' if hint else None
    if part in accepted or part == '_delete_':
        return None
    return f'{place} has no key {part!r}{near_miss(part, accepted.names | here.node.keys())}'


def _variable(name: str, content: dict) -> str:
    """Say where the value of a variable was copied to."""
    value = content[name]
    places = sorted(find_places(value, content))
    sentence = f'--cfg-options {name}: {name} is a variable of the config, which is read too early'
    if places and value not in (None, True, False):
        return f'{sentence} for this to have an effect; set {", ".join(places[:4])} instead'
    return f'{sentence} for this to have an effect; set what was made from it instead'
