"""Keys of a model's ``train_cfg`` and ``test_cfg``, which its heads read one by one, so that a
misspelt one is passed over without a word.

What they may read is looked up in their source: a key that stands nowhere in it is read by nothing.
"""

import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmtoken.config_check.parts import find_parts
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import subtrees
from mmtoken.errors import near_miss

# How alike two keys must be: where nothing has the one, and where something else has it.
_NEAR, _ALMOST = 0.6, 0.75
_WORD = re.compile(r'\w+')
# `cfg.get('score_thr')`, `cfg['score_thr']`, `cfg.rcnn.score_thr` and `'score_thr' in cfg`.
_READ = re.compile(
    r'cfg(?:\.\w+)*(?:\.get\(|\.pop\(|\[)\s*[\'"](\w+)'
    r'|cfg((?:\.\w+)+)'
    r'|[\'"](\w+)[\'"]\s+(?:not\s+)?in\s+[\w.]*cfg\b'
    r'|attr\([\w.]*cfg,\s*[\'"](\w+)'
)


def model_cfg_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find keys of the model's ``train_cfg`` and ``test_cfg`` that nothing reads.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults; certain is a key that no source has and that is almost one that is read.
    """
    untyped = list(_untyped(content.get('model')))
    words, read = _sources(content, scope) if untyped else (set(), set())
    for place, node in untyped if read else ():
        for key in map(str, node.keys() - read):
            unknown = key not in words
            cutoff = _NEAR if unknown else _ALMOST
            # A base has put the right key beside it, as a rule.
            beside = near_miss(key, read & node.keys(), cutoff)
            hint = beside or near_miss(key, read - node.keys(), cutoff)
            if unknown or hint:
                remedy = hint or '; remove it'
                yield Problem(
                    f'{place} has {key!r}, which nothing reads{remedy}', unknown and bool(hint)
                )


def _untyped(model: Any) -> Iterator[tuple[str, dict]]:
    """The dicts without a type at and below every ``train_cfg`` and ``test_cfg``."""
    for place, node in subtrees(('model',), model):
        inside = re.search(r'\.(train|test)_cfg(\.|$)', place)
        if inside and isinstance(node, dict) and 'type' not in node:
            yield place, node


def _sources(content: dict, scope: str) -> tuple[set[str], set[str]]:
    """The words of all the source that the model is from, and the keys that it reads."""
    modules = {
        owner.__module__
        for part in find_parts(content, scope, 'model')
        for owner in getattr(part.targets[0], '__mro__', part.targets[:1])
    }
    return _scan_all(frozenset(filter(None, map(_room, modules))))


@functools.cache
def _scan_all(rooms: frozenset[Path]) -> tuple[set[str], set[str]]:
    """The words and the keys of several pieces of source."""
    scans = [_scan(room) for room in rooms]
    return set().union(*(words for words, _ in scans)), set().union(*(read for _, read in scans))


@functools.cache
def _room(module: str) -> Path | None:
    """The folder of the library that a module is of; of what is no library, the module's file."""
    package = module.partition('.')[0]
    is_library = f'{package}.registry' in sys.modules
    file = getattr(sys.modules.get(package if is_library else module), '__file__', None)
    return file and (Path(file).parent if is_library else Path(file))


@functools.cache
def _scan(room: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The words of the source at a path, and those that it reads of a config."""
    # The configs that a library brings along, in `.mim`, are no source.
    files = [file for file in room.rglob('*.py') if '.mim' not in file.parts]
    text = '\n'.join(file.read_text(encoding='utf-8') for file in files or [room])
    read = [word for match in _READ.findall(text) for word in _WORD.findall(' '.join(match))]
    return frozenset(_WORD.findall(text)), frozenset(read)
