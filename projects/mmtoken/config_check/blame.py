"""Which part of a config an error while building comes from.

What can be judged beforehand is judged by the other checks; what remains shows when a part is
built. mmengine's traceback then has sixty lines, of which none names the key. Our design.
"""

import traceback
from collections.abc import Iterator, Mapping
from typing import Any

# What mmengine's runner builds from which key.
_BUILDERS = {
    'setup_env': 'env_cfg',
    'set_randomness': 'randomness',
    'build_visualizer': 'visualizer',
    'build_model': 'model',
    'wrap_model': 'model_wrapper_cfg',
    '_init_model_weights': 'model',
    'build_optim_wrapper': 'optim_wrapper',
    'scale_lr': 'auto_scale_lr',
    'build_param_scheduler': 'param_scheduler',
    '_check_scheduler_cfg': 'param_scheduler',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg',
    'build_log_processor': 'log_processor',
    'register_default_hooks': 'default_hooks',
    'register_custom_hooks': 'custom_hooks',
}
# What builds from a dict that stands somewhere in the config, or initializes by it.
_FROM_CFG = ('build_from_cfg', '_initialize')
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_EVALUATORS = ('val_evaluator', 'test_evaluator')


def blamed_part(error: BaseException, content: Mapping) -> str | None:
    """Find what was built when an error was raised.

    Args:
        error: What was raised.
        content: The config.

    Returns:
        The dotted key of the innermost part that stands in the config; None where nothing was
        being built.
    """
    path: tuple[str, ...] = ()
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name, seen = frame.f_code.co_name, frame.f_locals
        if name in _BUILDERS and _BUILDERS[name] in content:
            path = (_BUILDERS[name],)
        elif name == 'build_dataloader':
            path = _alike(content, _LOADERS, seen.get('dataloader')) or path
        elif name == 'build_evaluator':
            path = _alike(content, _EVALUATORS, seen.get('evaluator')) or path
        elif name == 'call_hook' and 'hook' in seen:
            path = _find(content, (), dict(type=type(seen['hook']))) or path
        elif name in _FROM_CFG and isinstance(seen.get('cfg'), Mapping):
            path = _find(content, path, seen['cfg']) or path
    return '.'.join(path) or None


def _alike(content: Mapping, keys: tuple[str, ...], node: Any) -> tuple[str, ...]:
    """Under which of some keys a part stands."""
    equal = [key for key in keys if key in content and content[key] == node]
    return tuple(equal[:1])


def _find(content: Mapping, path: tuple[str, ...], node: Mapping) -> tuple[str, ...]:
    """Where a part stands that was built within another one, or anywhere where that is unknown.

    Builders add keys to a part and take some out, so the one that has most in common is meant.
    """
    around: Any = content
    for key in path:
        around = around[int(key)] if isinstance(around, (list, tuple)) else around[key]
    for start, within in ((path, around), ((), content)):
        found = [
            (_common(part, node), -len(place), place)
            for place, part in _parts(start, within)
            if _may_be(part, node)
        ]
        if found:
            return max(found)[-1]
    return ()


def _may_be(part: Mapping, node: Mapping) -> bool:
    """Whether a part has the type of what was built, or none and all the rest of it."""
    if 'type' in part:
        return _name(part['type']) == _name(node.get('type'))
    return len(part) > 1 and _common(part, node) == len(part)


def _parts(path: tuple[str, ...], node: Any) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """All dicts, and where they stand."""
    if isinstance(node, Mapping):
        yield path, node
        children = list(node.items())
    else:
        children = list(enumerate(node)) if isinstance(node, (list, tuple)) else []
    for key, child in children:
        yield from _parts((*path, str(key)), child)


def _name(kind: Any) -> str:
    """What a type is called, with or without its scope."""
    return kind.rpartition('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')


def _common(part: Mapping, node: Mapping) -> int:
    """How many keys have the same value in both."""
    return sum(key in node and node[key] == value for key, value in part.items())
