"""What only the text of a config's files tells: which variables they read, which one a child sets
in vain, since a base has copied its own into its dicts by then, and which file wrote a key.
"""

import ast
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import Any

from mmengine.config import Config

from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import RUN_KEYS, find_places, subtrees
from mmtoken.config_check.sources import Source, inherits, parse
from mmtoken.errors import near_miss

Place = tuple[str | int, ...]
# Only what is almost a known key is taken for a slip.
_ALMOST = 0.9
# Where the settings went that OpenMMLab's libraries read before mmengine.
_MOVED = {
    'checkpoint_config': 'set default_hooks.checkpoint',
    'cudnn_benchmark': 'set env_cfg.cudnn_benchmark',
    'data': 'set train_dataloader, val_dataloader and test_dataloader',
    'dist_params': 'set env_cfg.dist_cfg',
    'evaluation': 'set val_evaluator and train_cfg.val_interval',
    'fp16': "set optim_wrapper.type to 'AmpOptimWrapper', or train with --amp",
    'log_config': 'set default_hooks.logger and visualizer.vis_backends',
    'lr_config': 'set param_scheduler',
    'momentum_config': 'set param_scheduler',
    'optimizer': 'set optim_wrapper.optimizer',
    'optimizer_config': 'set optim_wrapper.clip_grad and optim_wrapper.accumulative_counts',
    'resume_from': 'set load_from and resume, or train with --resume',
    'runner': 'set train_cfg',
    'seed': 'set randomness.seed',
    'total_epochs': 'set train_cfg.max_epochs',
}


def unread_variables(content: dict, files: Sequence[Source]) -> Iterator[Problem]:
    """Find the top-level keys that no library and no line of the config reads.

    One that is nearly a key which a run reads is a slip, and one that OpenMMLab's libraries read
    before mmengine does not do what it says. Any other may be a note of its author.

    Args:
        content: The config.
        files: The files it was read from.

    Yields:
        One problem for each.
    """
    read = set().union(*(_names_read(text) for _, text in files))
    # A config that mmengine wrote: its variables stand there, already used.
    dump = not inherits(files[-1][1]) and read <= {'dict'}
    for key, value in content.items():
        if key in RUN_KEYS or key in read or (dump and any(find_places(value, content))):
            continue
        hint = near_miss(key, [known for known in RUN_KEYS if _alike(key, known)], cutoff=0.87)
        if key in _MOVED:
            yield Problem(
                f'nothing reads the top-level key {key!r}, which OpenMMLab read before mmengine; '
                f'{_MOVED[key]}',
                certain=value is not None,
            )
        elif hint or not dump:
            remedy = hint or '; remove it, or use it in the config'
            yield Problem(f'nothing reads the top-level key {key!r}{remedy}', certain=bool(hint))


def vain_variables(content: dict, files: Sequence[Source]) -> Iterator[Problem]:
    """Find the variables that a child sets, that it does not read, and that a base has used up.

    Args:
        content: The config.
        files: The files it was read from.

    Yields:
        One problem for each.
    """
    final = _unscoped(content)
    for index, (path, text) in enumerate(files[:-1], start=1):
        later = set().union(*(_names_read(text) for _, text in files[index:]))
        names = _names_read(text) & final.keys() - RUN_KEYS - later
        base = _unscoped(Config.fromfile(path).to_dict()) if names else {}
        for name in sorted(names & base.keys()):
            places = [
                '.'.join(map(str, place))
                for place in _places(text, name)
                # Where a child has changed the place as well, that is what it wants.
                if _at(base, place) == base[name] == _at(final, place)
            ]
            if places and final[name] != base[name]:
                yield Problem(
                    f'{name} = {reprlib.repr(final[name])} changes nothing: '
                    f'{os.path.relpath(path)} has already put its own into '
                    f'{", ".join(places[:4])}; set {"that" if len(places) == 1 else "those"}'
                )


def doubled_keys(content: dict, files: Sequence[Source]) -> Iterator[Problem]:
    """Find the keys of train_cfg and test_cfg, whose dicts take any, that stand beside almost the
    same key of another file.

    Args:
        content: The config.
        files: The files it was read from.

    Yields:
        One problem for each.
    """
    for place, node in subtrees(('model',), content.get('model')):
        typed = not isinstance(node, dict) or 'type' in node
        if typed or not re.search(r'\.(train|test)_cfg(\.|$)', place):
            continue
        written = {
            str(key): {i for i, (_, text) in enumerate(files) if re.search(rf'\b{key}\b', text)}
            for key in node
        }
        for first, second in combinations(written, 2):
            hint = near_miss(second, [first], _ALMOST)
            one, other = written[first], written[second]
            if hint and one and other and not one & other:
                yield Problem(f'{place} has {second!r} beside {first!r} of its base{hint}')


def _alike(one: str, other: str) -> bool:
    """Whether two names are alike word by word; `test_pipeline` is not `tta_pipeline` misspelt."""
    words, others = one.split('_'), other.split('_')
    pairs = zip(words, others, strict=True) if len(words) == len(others) else ()
    return all(SequenceMatcher(None, *pair).ratio() >= 0.6 for pair in pairs)


def _unscoped(node: Any) -> Any:
    """A value without the ``_scope_`` that mmengine adds to the variables of another package's
    config, and not to the places where these were used.
    """
    if isinstance(node, dict):
        return {key: _unscoped(value) for key, value in node.items() if key != '_scope_'}
    if isinstance(node, (list, tuple)):
        return type(node)(map(_unscoped, node))
    return node


def _places(content: str, name: str) -> Iterator[Place]:
    """Where one file puts a variable as it is, below the keys that a run reads."""
    variables = {
        target.id: statement.value
        for statement in parse(content)
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for key in variables:
        if key in RUN_KEYS:
            yield from _uses(variables[key], name, variables, (key,))


def _uses(
    node: ast.expr, name: str, variables: dict[str, ast.expr], place: Place
) -> Iterator[Place]:
    """The same within an expression, with the other variables written out."""
    children: Iterable[tuple[str | int, ast.expr]] = ()
    match node:
        case ast.Name(id=found) if found == name:
            yield place
        case ast.Name(id=found) if found in variables:
            others = {key: value for key, value in variables.items() if key != found}
            yield from _uses(variables[found], name, others, place)
        case ast.Call(func=ast.Name(id='dict'), keywords=keywords):
            children = ((keyword.arg, keyword.value) for keyword in keywords if keyword.arg)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            children = ((key.value, x) for key, x in pairs if isinstance(key, ast.Constant))
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            children = enumerate(elements)
    for key, child in children:
        yield from _uses(child, name, variables, (*place, key))


def _at(content: Any, place: Place) -> Any:
    """What stands at a place; something that equals nothing where there is no such place."""
    try:
        for key in place:
            content = content[key]
    except (KeyError, IndexError, TypeError):
        return object()
    return content


def _names_read(content: str) -> set[str]:
    """The variables, own and ``_base_``'s, that one file reads."""
    statements = parse(content)
    names = set() if statements else _base_names(content)
    for statement in statements:
        found = _base_names(ast.unparse(statement)) | {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)]):
                found.discard(target)
        names |= found
    return names


def _base_names(text: str) -> set[str]:
    return set(re.findall(r'_base_(?:\.get\([\'"]|\.|\[[\'"])(\w+)', text))
