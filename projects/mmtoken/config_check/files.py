"""Check that the data and checkpoints a run will open are there."""

import inspect
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import isclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mmtoken.config_check.code import expanded_arguments
from mmtoken.config_check.mode import report
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.types import Scopes
from mmtoken.config_check.walk import Place, walk
from mmtoken.errors import near_miss
from mmtoken.runtime.resuming.checkpoints import has_checkpoint
from mmtoken.weights import is_pretrained

# What writes the data that this project brings along.
_WRITERS = {
    name: f'write it with: python tools/dataset_converters/{name}.py --out data/{name}'
    for name in ('digit_scenes', 'glyph_scenes')
}


@dataclass(frozen=True)
class Opened:
    """A path that a run opens.

    Args:
        key: Where it stands in the config.
        path: The path; anything but a text is none.
        certain: Whether a run cannot do without it.
    """

    key: str
    path: Any
    certain: bool = True


def check_files(cfg: Config, loaders: Sequence[str], mode: str | None = None) -> None:
    """Refuse a config whose data or checkpoints do not exist.

    Paths on other machines (with ``://`` or a file backend) are left to the library.

    Args:
        cfg: The config.
        loaders: The data loaders that the run will use.
        mode: As for ``mmtoken.config_check.mode.check_mode``.

    Raises:
        UserError: For the first path that does not exist.
    """
    report(_missing(cfg, loaders), mode)


def _missing(cfg: Config, loaders: Sequence[str]) -> Iterator[Problem]:
    """The paths that do not exist."""
    content = cfg.to_dict()
    scope = content.get('default_scope') or 'mmengine'
    paths = list(_checkpoints(content, scope, training='train_dataloader' in loaders))
    for name in loaders:
        loader = content.get(name) or {}
        evaluator = name.replace('dataloader', 'evaluator')
        metrics = content.get(evaluator) or ()
        metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
        # Predictions that are only written, to be scored elsewhere, need no labels.
        scored = not any(isinstance(item, dict) and item.get('format_only') for item in metrics)
        paths += _data((name, 'dataset'), loader.get('dataset'), (scope,), scored)
        paths += _annotations(evaluator, metrics)
    for item in paths:
        if _is_local(item.path) and not os.path.exists(item.path):
            remedy = _remedy(item.key, item.path)
            yield Problem(f'{item.key} {item.path!r} does not exist{remedy}', item.certain)


def _checkpoints(content: dict, scope: str, training: bool) -> Iterator[Opened]:
    """The weights that are loaded: ``init_cfg``'s only when training begins."""
    yield Opened('checkpoint', content.get('load_from'))
    if content.get('resume') and content.get('runner_type', 'Runner') == 'Runner':
        # ExactResumeHook leaves all weights to the checkpoint.
        work_dir = content.get('work_dir')
        if content.get('load_from') or (work_dir and has_checkpoint(Path(work_dir))):
            return
    for place in walk(('model',), content.get('model'), (scope,)) if training else ():
        if 'checkpoint' in place.node and is_pretrained(place.node):
            yield Opened(f'{place}.checkpoint', place.node.get('checkpoint'))


def _data(path: tuple[str, ...], node: Any, scopes: Scopes, scored: bool) -> Iterator[Opened]:
    """The folders and annotation files of a dataset, and of those it wraps."""
    for place in walk(path, node, scopes):
        wraps = all(part.isdigit() or part in ('dataset', 'datasets') for part in place.path[1:])
        backend = place.node.get('backend_args') or place.node.get('file_client_args')
        if wraps and not backend and not _downloads(place):
            # Another class may make of these keys what it likes.
            known = all(issubclass(cls, BaseDataset) for cls in filter(isclass, place.targets))
            for item in _of_dataset(place):
                label = re.search(r'data_prefix\.(?!img)', item.key)
                yield replace(item, certain=known and (scored or not label))


def _of_dataset(place: Place) -> Iterator[Opened]:
    """The folders and the annotation file of one dataset."""
    node, expands = place.node, set().union(*map(expanded_arguments, place.targets))
    root, annotations, prefixes = map(node.get, ('data_root', 'ann_file', 'data_prefix'))
    root = root if isinstance(root, str) else ''
    if 'data_root' in expands:
        root = os.path.expanduser(root)
    if isinstance(prefixes, str) and 'data_prefix' in expands:
        prefixes = os.path.expanduser(prefixes)
    if isinstance(annotations, str) and 'ann_file' in expands:
        annotations = os.path.expanduser(annotations)
    prefixes = prefixes if isinstance(prefixes, dict) else {'': prefixes}
    named = {f'{place}.data_prefix.{name}'.rstrip('.'): path for name, path in prefixes.items()}
    named = {f'{place}.ann_file': annotations, **named}
    named = {key: path for key, path in named.items() if isinstance(path, str) and path}
    # Where every path is absolute, nothing is looked for in the root.
    if not named or not all(map(os.path.isabs, named.values())):
        yield Opened(f'{place}.data_root', root)
    for key, path in named.items():
        yield Opened(key, os.path.join(root, path))


def _annotations(key: str, metrics: Sequence[Any]) -> Iterator[Opened]:
    """The annotation files that metrics open by themselves."""
    for metric in metrics:
        if isinstance(metric, dict) and not metric.get('backend_args'):
            yield Opened(f'{key}.ann_file', metric.get('ann_file'))


def _downloads(place: Place) -> bool:
    """Whether a dataset fetches itself, as mmpretrain's CIFAR does unless told otherwise."""
    for target in place.targets:
        parameters = inspect.signature(target).parameters
        if 'download' in parameters:
            return bool(place.node.get('download', parameters['download'].default))
    return False


def _is_local(path: Any) -> bool:
    """Whether a value is a path of this machine's file system."""
    return isinstance(path, str) and bool(path) and not re.match(r'\w{2,}:', path)


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
    if path.startswith('~'):
        return '; nothing writes ~ out there, so give the path from the root'
    if key == 'checkpoint':
        return '; give the path of a checkpoint'
    return f'; put the files there, or name the right place with --cfg-options {key}=PATH'
