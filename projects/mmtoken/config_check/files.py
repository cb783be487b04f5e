"""Check that the data and checkpoints a run will open are there."""

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmtoken.config_check.types import find_targets
from mmtoken.errors import UserError, near_miss
from mmtoken.weights import is_pretrained

# What writes the data that this project brings along.
_WRITERS = {
    'digit_scenes': 'write it with: python tools/dataset_converters/digit_scenes.py '
    '--out data/digit_scenes'
}


def check_files(cfg: Config, loaders: Sequence[str]) -> None:
    """Refuse a config whose data or checkpoints do not exist.

    Paths on other machines (with ``://`` or a file backend) are left to the library.

    Args:
        cfg: The config.
        loaders: The data loaders that the run will use.

    Raises:
        UserError: For the first path that does not exist.
    """
    content = cfg.to_dict()
    scope = content.get('default_scope') or 'mmengine'
    paths = list(_checkpoints(content, training='train_dataloader' in loaders))
    for name in loaders:
        loader = content.get(name) or {}
        paths += _data(f'{name}.dataset', loader.get('dataset'), scope)
        evaluator = name.replace('dataloader', 'evaluator')
        paths += _annotations(evaluator, content.get(evaluator))
    for key, path in paths:
        if _is_local(path) and not os.path.exists(path):
            raise UserError(f'{key} {path!r} does not exist{_remedy(key, path)}')


def _checkpoints(content: dict, training: bool) -> Iterator[tuple[str, Any]]:
    """The weights that are loaded: ``init_cfg``'s only when training."""
    yield 'checkpoint', content.get('load_from')
    stack = [('model', content.get('model'))] if training else []
    while stack:
        key, node = stack.pop()
        if isinstance(node, dict):
            if 'checkpoint' in node and is_pretrained(node):
                yield f'{key}.checkpoint', node.get('checkpoint')
            stack += [(f'{key}.{name}', child) for name, child in node.items()]
        elif isinstance(node, (list, tuple)):
            stack += [(f'{key}.{index}', child) for index, child in enumerate(node)]


def _data(key: str, node: Any, scope: str) -> Iterator[tuple[str, Any]]:
    """The folders and annotation files of a dataset, and of those it wraps."""
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _data(f'{key}.{index}', child, scope)
    if not isinstance(node, dict):
        return
    scope = node.get('_scope_', scope)
    for name in ('dataset', 'datasets'):
        yield from _data(f'{key}.{name}', node.get(name), scope)
    if node.get('backend_args') or node.get('file_client_args') or _downloads(node, scope):
        return
    root = node.get('data_root')
    yield f'{key}.data_root', root
    joined = root if isinstance(root, str) else ''
    if isinstance(node.get('ann_file'), str) and node['ann_file']:
        yield f'{key}.ann_file', os.path.join(joined, node['ann_file'])
    prefixes = node.get('data_prefix')
    prefixes = prefixes if isinstance(prefixes, dict) else {'': prefixes}
    for name, prefix in prefixes.items():
        if isinstance(prefix, str) and prefix:
            place = f'{key}.data_prefix.{name}'.rstrip('.')
            yield place, os.path.join(joined, prefix)


def _annotations(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    """The annotation files that metrics open by themselves."""
    metrics = node if isinstance(node, (list, tuple)) else [node]
    for metric in metrics:
        if isinstance(metric, dict) and not metric.get('backend_args'):
            yield f'{key}.ann_file', metric.get('ann_file')


def _downloads(node: dict, scope: str) -> bool:
    """Whether a dataset fetches itself, as mmpretrain's CIFAR does unless told otherwise."""
    for target in find_targets(node.get('type', ''), scope, 'dataset'):
        parameters = inspect.signature(target).parameters
        if 'download' in parameters:
            return bool(node.get('download', parameters['download'].default))
    return False


def _is_local(path: Any) -> bool:
    """Whether a value is a path of this machine's file system."""
    return isinstance(path, str) and bool(path) and '://' not in path and not path.startswith('s3:')


def _remedy(key: str, path: str) -> str:
    """The end of the sentence: what may have been meant, else what to do."""
    parent = Path(path).parent
    names = [item.name for item in parent.iterdir()] if parent.is_dir() else []
    hint = near_miss(Path(path).name, names)
    for name, writer in _WRITERS.items():
        if name in Path(path).parts and not hint:
            return f'; {writer}'
    if hint:
        return hint
    if key == 'checkpoint':
        return '; give the path of a checkpoint'
    return f'; put the files there, or name the right place with --cfg-options {key}=PATH'
