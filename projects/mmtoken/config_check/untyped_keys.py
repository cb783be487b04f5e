"""Keys of dicts without a type of their own, whose readers take any key without a word."""

import inspect
from collections.abc import Collection, Iterator
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dist import init_dist
from torch.distributed import init_process_group

from mmtoken.config_check.code import attribute_reads
from mmtoken.config_check.parts import LOADERS, default_of, dict_at, find_parts, type_name
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import subtrees
from mmtoken.config_check.signature import accepted_keywords
from mmtoken.config_check.walk import Place
from mmtoken.errors import near_miss

# How alike two keys must be where any key may be right: `lr_mul` is `lr_mult`, `wd_mult` is not.
_ALMOST = 0.75


def dataset_key_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find keys of ``metainfo``, ``data_prefix`` and ``filter_cfg`` that a dataset does not read.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults; certain is a key that is almost one that is read, or that stands in its place.
    """
    for part in find_parts(content, scope, *LOADERS):
        if inspect.isclass(part.targets[0]) and issubclass(part.targets[0], BaseDataset):
            yield from _of_metainfo(part)
            yield from _of_data_prefix(part)
            yield from _of_filter(part)


def _of_metainfo(part: Place) -> Iterator[Problem]:
    """Other spellings of the classes and their colors, such as the capitals of older versions."""
    known = {'classes', 'palette', 'categories', *part.targets[0].METAINFO}
    metainfo = dict_at(part.node, 'metainfo')
    for key in metainfo:
        meant = near_miss(str(key).lower(), known - metainfo.keys(), _ALMOST)
        if key not in known and meant:
            yield Problem(
                f'{part}.metainfo has {key!r}, which {type_name(part)} does not read{meant}'
            )


def _of_data_prefix(part: Place) -> Iterator[Problem]:
    """Names of folders that the dataset does not look for."""
    reads = attribute_reads(part.targets[0], 'data_prefix')
    default = default_of(part.targets[0], 'data_prefix')
    # Where the default is a text, the class makes a dict of it that has what it needs.
    default = default.keys() if isinstance(default, dict) else set()
    prefix = part.node.get('data_prefix')
    if prefix is None and default and reads.needed - default:
        names = ', '.join(f'{name}=...' for name in sorted(reads.needed))
        yield Problem(f'{part} has no data_prefix; {type_name(part)} needs dict({names})')
    if not isinstance(prefix, dict) or not reads.names:
        return
    absent = sorted((reads.needed | (default & reads.names)) - prefix.keys())
    for key in sorted(map(str, prefix.keys() - reads.names)):
        hint = near_miss(str(key), reads.names - prefix.keys(), _ALMOST)
        hint = hint or (f'; did you mean {absent[0]!r}?' if absent else '')
        yield Problem(
            f'{part}.data_prefix has {key!r}, and {type_name(part)} reads '
            f'{", ".join(sorted(reads.names))}{hint or "; remove it"}',
            certain=bool(hint),
        )


def _of_filter(part: Place) -> Iterator[Problem]:
    """Filters that the dataset does not know."""
    chosen, known = dict_at(part.node, 'filter_cfg'), attribute_reads(part.targets[0], 'filter_cfg')
    why = f'{type_name(part)} does not read'
    yield from _unread(f'{part}.filter_cfg', chosen, known.names, why)


def _unread(place: str, node: dict, known: Collection[str], why: str) -> Iterator[Problem]:
    """Keys of a dict that are not among those that are read."""
    for key in node:
        if key not in known:
            hint = near_miss(str(key), set(known) - node.keys())
            yield Problem(
                f'{place} has {key!r}, which {why}{hint or "; remove it"}', certain=bool(hint)
            )


def launch_key_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find keys of ``env_cfg.dist_cfg`` that the start of a distributed run does not take.

    Args:
        content: The config.
        scope: Its default scope, which is of no matter here.

    Yields:
        The faults.
    """
    chosen = dict_at(content, 'env_cfg', 'dist_cfg')
    known = accepted_keywords(init_dist).names | accepted_keywords(init_process_group).names
    # The port is that of a run under slurm.
    yield from _unread('env_cfg.dist_cfg', chosen, known | {'port'}, 'no launcher takes')


def optimizer_key_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find settings of single parameters that change nothing.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    optimizers = {str(part): part for part in find_parts(content, scope, 'optim_wrapper')}
    for place, node in subtrees(('optim_wrapper',), content.get('optim_wrapper')):
        entries = dict_at(node, 'paramwise_cfg', 'custom_keys')
        optimizer = optimizers.get(f'{place}.optimizer')
        if optimizer:
            # What is no multiplier becomes an option of the optimizer for these parameters.
            known = {'lr_mult', 'decay_mult'} | accepted_keywords(optimizer.targets[0]).names
            for key, entry in entries.items():
                yield from _of_entry(f'{place}.paramwise_cfg.custom_keys[{key!r}]', entry, known)


def _of_entry(place: str, entry: Any, known: set[str]) -> Iterator[Problem]:
    """One entry of ``custom_keys``."""
    if not isinstance(entry, dict):
        yield Problem(f'{place} {entry!r} is not a dict; use one, such as dict(lr_mult=0.1)')
        return
    for key in entry:
        hint = near_miss(str(key), known - entry.keys(), _ALMOST)
        if key not in known and (hint or not known & entry.keys()):
            remedy = hint or '; set lr_mult or decay_mult'
            yield Problem(
                f'{place} has {key!r}, which the optimizer does not read{remedy}', bool(hint)
            )
