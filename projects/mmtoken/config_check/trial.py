"""What is so cheap to build that it is tried: loaders of a made-up sample, optimizers and schedules
of a made-up parameter, our own parts on a device without memory.

What they refuse now they would refuse later, after much else was built.
"""

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import _ParamScheduler
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from mmtoken.config_check.mode import report
from mmtoken.config_check.parts import dict_at, find_parts, type_name
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.signature import accepted_keywords
from mmtoken.config_check.types import find_targets
from mmtoken.config_check.walk import Place, walk
from mmtoken.errors import UserError, reason_of

_LOADER_KEYS = {'batch_size', 'num_workers', 'drop_last', 'timeout', 'multiprocessing_context'}
_LOADER_KEYS |= {'prefetch_factor', 'persistent_workers', 'pin_memory'}
# Keys that mmengine's builders take for themselves.
_BUILDER_KEYS = {'type', '_scope_', 'convert_to_iter_based', 'epoch_length'}


def check_loaders(cfg: Config, loaders: Sequence[str], mode: str | None = None) -> None:
    """Refuse data loaders whose order nothing says, and those that refuse their numbers and
    switches, once all flags are in them.

    Args:
        cfg: The config.
        loaders: The data loaders that the run will use.
        mode: As for ``mmtoken.config_check.mode.check_mode``.

    Raises:
        UserError: For the first of them.
    """
    for name in loaders:
        loader = dict_at(cfg.to_dict(), name)
        if loader and 'sampler' not in loader:
            problem = Problem(
                f'{name} has no sampler, so that every process would get all samples, in their '
                f"order; add {name}.sampler=dict(type='DefaultSampler', "
                f'shuffle={name.startswith("train")})'
            )
            report([problem], mode, f'config {cfg.filename}: ')
        if not loader.get('num_workers') and loader.get('persistent_workers'):
            problem = Problem(
                f'{name}.persistent_workers is True, and num_workers=0 leaves none to persist; set '
                f'{name}.persistent_workers=False'
            )
            report([problem], mode, f'config {cfg.filename}: ')
            continue
        plain = {key: loader[key] for key in loader.keys() & _LOADER_KEYS}
        trial = Place((name,), plain, (), (DataLoader,))
        report(_refusal(trial, dataset=[0]), mode, f'config {cfg.filename}: ')


def schedule_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find optimizers and parameter schedules that refuse their arguments.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    for place in walk(('optim_wrapper',), dict_at(content, 'optim_wrapper'), (scope,)):
        if place.path[-1] == 'optimizer' and _is_a(place, Optimizer):
            yield from _refusal(place, params=[nn.Parameter(torch.zeros(2, 2))])
        if dict_at(place.node, 'optimizer'):
            yield from _of_groups(place)
    loop = dict_at(content, 'train_cfg')
    for part in find_parts(content, scope, 'param_scheduler'):
        if _is_a(part, _ParamScheduler):
            end = loop.get('max_epochs' if part.node.get('by_epoch', True) else 'max_iters')
            default = {} if end is None else {'end': end}
            optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
            yield from _refusal(part, optimizer=optimizer, **default)


def _of_groups(wrapper: Place) -> Iterator[Problem]:
    """What puts the parameters into groups, and refuses its options before it sees a model."""
    options = dict(wrapper.node)
    name = options.pop('constructor', 'DefaultOptimWrapperConstructor')
    path, given = (*wrapper.path, 'paramwise_cfg'), options.pop('paramwise_cfg', None)
    for target in find_targets(name, wrapper.scopes)[:1]:
        constructor = Place(path, {'paramwise_cfg': given}, wrapper.scopes, (target,))
        yield from _refusal(constructor, optim_wrapper_cfg=options)


def own_part_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find parts of this project's models that refuse their arguments.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    refused: list[tuple[str, ...]] = []
    # From the inside out, since what holds a refused part refuses it too.
    for part in reversed(list(find_parts(content, scope, 'model'))):
        ours = part.targets[0].__module__.startswith('mmtoken.')
        if not ours or any(path[: len(part.path)] == part.path for path in refused):
            continue
        try:
            inspect.signature(part.targets[0]).bind(**_arguments(part))
        except TypeError:  # It lacks what its owner adds.
            continue
        try:
            with torch.device('meta'), DefaultScope.overwrite_default_scope(part.scopes[0]):
                part.targets[0](**_arguments(part))
        except UserError as error:
            refused.append(part.path)
            yield Problem(f'{part}: {error}')
        except (TypeError, ValueError, AttributeError) as error:
            refused.append(part.path)
            yield _refused(part, error)
        except Exception:  # Something in it needs memory.
            continue


def try_build(cfg: Any, scope: str) -> nn.Module | None:
    """Build a part of a model without memory.

    Args:
        cfg: Its config, or a list of several.
        scope: Where its type is looked up.

    Returns:
        The part; None where there is none, or where it cannot be built, which is another problem,
        or needs its owner.
    """
    if not cfg:
        return None
    try:
        return build_bare(cfg, scope)
    except Exception:
        return None


def build_bare(cfg: Any, scope: str) -> nn.Module:
    """Build a part of a model without memory, or raise what it raises.

    Args:
        cfg: Its config, or a list of several.
        scope: Where its type is looked up.
    """
    with torch.device('meta'), DefaultScope.overwrite_default_scope(scope):
        if isinstance(cfg, (list, tuple)):
            return nn.ModuleList(MODELS.build(copy.deepcopy(one)) for one in cfg)
        return MODELS.build(copy.deepcopy(cfg))


def _is_a(part: Place, base: type) -> bool:
    return any(inspect.isclass(cls) and issubclass(cls, base) for cls in part.targets[:1])


def _arguments(part: Place) -> dict:
    """What the part's class is called with; a copy, since classes take keys out of their dicts."""
    return copy.deepcopy({key: part.node[key] for key in part.node.keys() - _BUILDER_KEYS})


def _refusal(part: Place, **given: object) -> Iterator[Problem]:
    """What the part's class says of its arguments, and of those that its builder gives.

    Keys that it does not take are another problem.
    """
    build: Callable = part.targets[0]
    accepted = accepted_keywords(build)
    arguments = {key: value for key, value in _arguments(part).items() if key in accepted}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            build(**{**given, **arguments})
    except Exception as error:  # What a class refuses, it refuses in its own way.
        yield _refused(part, error)


def _refused(part: Place, error: Exception) -> Problem:
    refuses = f'{type_name(part)} refuses its arguments: {reason_of(error)}'
    return Problem(f'{part}: {refuses}; correct them')
