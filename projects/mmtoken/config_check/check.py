"""Find what is wrong with a config before anything is built from it.

mmengine accepts a misspelt key, and reports a misspelt type after the model before it was built.
Here each dict is held against what its ``type`` takes; the registries are asked, nothing is built.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from mmengine.config import Config

from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import (
    DEFAULT_HOOKS,
    RUN_KEYS,
    accepted_keys,
    find_places,
    subtrees,
)
from mmtoken.config_check.types import find_targets, type_hint
from mmtoken.config_check.variables import names_read, split_files, vain_variables
from mmtoken.errors import UserError, near_miss
from mmtoken.weights import is_pretrained

# Types whose arguments are those of another library, and keys whose dicts have types that no
# registry holds.
_FOREIGN_TYPES = {'Albu', 'Albumentations', 'mmpretrain.Albumentations'}
_FOREIGN_KEYS = re.compile(r'adapt_cfg|\w+_trans')
# Where any keyword is taken, only what is almost a known one is taken for a slip.
_ALMOST = 0.9


def check_config(cfg: Config, needs: Sequence[str] = ()) -> None:
    """Refuse a config with a key or type that nothing would read.

    Args:
        cfg: The config.
        needs: Top-level keys that the tool cannot do without.

    Raises:
        UserError: For the first fault, with what may have been meant.
    """
    for problem in find_problems(cfg, needs):
        raise UserError(f'config {cfg.filename}: {problem.text}')


def find_problems(cfg: Config, needs: Sequence[str] = ()) -> Iterator[Problem]:
    """Find every fault of a config.

    Args:
        cfg: The config.
        needs: Top-level keys that must be there.

    Yields:
        The faults.
    """
    yield from map(Problem, _sentences(cfg, needs))


def _sentences(cfg: Config, needs: Sequence[str]) -> Iterator[str]:
    """The same, as sentences."""
    content = cfg.to_dict()
    yield from _top_level(cfg, content)
    yield from vain_variables(cfg)
    for name in needs:
        if content.get(name) is None:
            yield f'{name} is missing, and this tool needs it; add it or inherit a base that has it'
    scope = content.get('default_scope') or 'mmengine'
    yield from _loose_weights(content.get('model') or {}, scope)
    yield from _doubled_keys(content.get('model') or {}, cfg.text)
    for key in sorted(RUN_KEYS & content.keys()):
        yield from _walk((key,), content[key], scope)


def _top_level(cfg: Config, content: dict) -> Iterator[str]:
    """Faults among the top-level keys: those that no library and no line of the config reads."""
    read, dump = names_read(cfg.text), _is_dump(cfg.text)
    for key, value in content.items():
        if key in RUN_KEYS or key in read or (dump and any(find_places(value, content))):
            continue
        hint = near_miss(key, RUN_KEYS, cutoff=0.87)
        if hint or not dump:
            remedy = hint or '; remove it, or use it in the config'
            yield f'nothing reads the top-level key {key!r}{remedy}'
    hooks = content.get('default_hooks') or {}
    for name in hooks:
        hint = near_miss(name, DEFAULT_HOOKS, cutoff=0.8)
        if name not in DEFAULT_HOOKS and hint:
            yield f'default_hooks.{name} is not one of the default hooks{hint}'


def _loose_weights(model: dict, scope: str) -> Iterator[str]:
    """Weights of a whole model, neck or head that mmengine would load without saying what is left.

    Backbones are not looked at: ours are strict, and those of the libraries mean to drop a
    classifier's head.
    """
    for place, node in subtrees(('model',), model):
        if not isinstance(node, dict) or not re.search(r'(^model|head|neck)(\.\d+)?$', place):
            continue
        inits = node.get('init_cfg') or ()
        inits = [inits] if isinstance(inits, dict) else inits
        keys = ['init_cfg'] if any(map(is_pretrained, inits)) else []
        # Of mmseg's and mmdet's models, `pretrained` is the backbone's.
        if place == 'model' and scope == 'mmpretrain' and node.get('pretrained'):
            keys.append('pretrained')
        for key in keys:
            yield (
                f'{place}.{key} loads what fits and leaves the rest as it is, without a word; set '
                'load_from to a checkpoint of the whole model, or model.backbone.init_cfg to one '
                'of the backbone'
            )


def _doubled_keys(model: dict, text: str) -> Iterator[str]:
    """Keys of train_cfg and test_cfg, whose dicts take any, that stand beside almost the same key
    of another file.
    """
    files = [content for _, content in split_files(text)]
    for place, node in subtrees(('model',), model):
        typed = not isinstance(node, dict) or 'type' in node
        if typed or not re.search(r'\.(train|test)_cfg(\.|$)', place):
            continue
        written = {
            str(key): {i for i, file in enumerate(files) if re.search(rf'\b{key}\b', file)}
            for key in node
        }
        for first, second in combinations(written, 2):
            hint = near_miss(second, [first], _ALMOST)
            one, other = written[first], written[second]
            if hint and one and other and not one & other:
                yield f'{place} has {second!r} beside {first!r} of its base{hint}'


def _is_dump(text: str) -> bool:
    """Whether a config is one that mmengine wrote: its variables stand there, already used."""
    inherits = re.search(r'^_base_\s*=|read_base\(', text, flags=re.MULTILINE)
    return not inherits and names_read(text) <= {'dict'}


def _walk(path: tuple[str, ...], node: Any, scope: str) -> Iterator[str]:
    """Faults of a subtree."""
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _walk((*path, str(index)), child, scope)
    elif isinstance(node, dict):
        scope = node.get('_scope_', scope)
        if _FOREIGN_KEYS.fullmatch(path[-1]):
            return
        yield from _of_dict(path, node, scope)
        if node.get('type') in _FOREIGN_TYPES:
            return
        for key, child in node.items():
            yield from _walk((*path, str(key)), child, scope)


def _of_dict(path: tuple[str, ...], node: dict, scope: str) -> Iterator[str]:
    """Faults of one dict: its type, its keys."""
    place = '.'.join(path)
    name = node.get('type')
    if isinstance(name, str) and not find_targets(name, scope, path[-1]):
        hint = type_hint(name, scope) or '; import the module that registers it in custom_imports'
        yield f'{place}.type {name!r} is not registered in the scope {scope!r}{hint}'
        return
    accepted = accepted_keys(path, node, scope)
    if accepted is None:
        return
    for key in node:
        if not isinstance(key, str) or key in accepted.names:
            continue
        hint = near_miss(key, accepted.names, _ALMOST if accepted.any else 0.6)
        if hint or not accepted.any:
            yield f'{place} does not take {key!r}{_whose(name)}{hint}'


def _whose(name: Any) -> str:
    """Name the type that does not take a key."""
    if name is None:
        return ''
    return f' (its type is {name if isinstance(name, str) else name.__name__})'
