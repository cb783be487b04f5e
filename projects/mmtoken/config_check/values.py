"""Values that a run cannot use: no number where one is needed, or a number with no meaning."""

import functools
import inspect
import logging
import math
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any

from mmtoken.checks import check_number, check_probability, check_whole
from mmtoken.config_check.parts import find_parts
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.schema import RUN_KEYS, subtrees
from mmtoken.errors import UserError

# Strings that are true, whatever they say.
_MEANT_AS_BOOL = {'true', 'false', 'yes', 'no', 'on', 'off'}
_MOST_LAYERS = 1000
_PLAIN = (str, bool, int, float, list, tuple)
_LOADER = r'(train|val|test)_dataloader'


@dataclass(frozen=True)
class Rule:
    """What the values at some places may be.

    Args:
        places: A pattern of dotted keys.
        check: Raises a :class:`UserError` for a value that is refused.
        each: Whether a list stands for its elements, and a dict for something else.
    """

    places: str
    check: Callable[[str, Any], None]
    each: bool = False


def _check_dict(place: str, value: Any) -> None:
    """Refuse what is not a dict where a run reads keys."""
    if not isinstance(value, dict):
        raise UserError(f'{place} {value!r} is not a dict; write {place.split(".")[-1]}=dict(...)')


def _check_depth(place: str, value: Any) -> None:
    """Refuse a number of layers that would be built for hours."""
    if isinstance(value, int) and value > _MOST_LAYERS:
        raise UserError(f'{place} {value!r} is more than {_MOST_LAYERS}; use a smaller number')


def _check_seed(place: str, value: Any) -> None:
    """Refuse randomness without a seed, which mmengine cannot do without."""
    if isinstance(value, dict) and value and 'seed' not in value:
        raise UserError(f'{place} has no seed; add seed=0, or seed=None for one that is drawn')


def _check_loader(place: str, value: Any) -> None:
    """Refuse a data loader of nothing."""
    if value == {}:
        raise UserError(f'{place} has no dataset; add one, or set {place}=None')


def _check_part(place: str, value: Any) -> None:
    """Refuse what is neither a dict nor built already."""
    if isinstance(value, _PLAIN):
        raise UserError(f'{place} {value!r} is not a dict with a type; write dict(type=...)')


def _check_parts(place: str, value: Any) -> None:
    """Refuse what is neither a dict nor a list of dicts; what is built already is let be."""
    if isinstance(value, dict):
        return
    wrong = [value]
    if isinstance(value, (list, tuple)):
        wrong = [item for item in value if item is None or isinstance(item, _PLAIN)]
    if wrong:
        raise UserError(
            f'{place} {wrong[0]!r} is not a dict with a type; write dict(type=...), or a list of '
            'such'
        )


def _check_path(place: str, value: Any) -> None:
    """Refuse what names no file."""
    if not isinstance(value, str):
        raise UserError(f'{place} {value!r} is not a path; write a text, or None for no file')


def _check_level(place: str, value: Any) -> None:
    """Refuse a level that Python's logging does not know."""
    level = logging.getLevelName(value) if isinstance(value, str) else value
    if not isinstance(level, int):
        raise UserError(f"{place} {value!r} is no level of logging; write for example 'INFO'")


def _check_indices(place: str, value: Any) -> None:
    """Refuse a choice of samples that chooses none."""
    if not isinstance(value, (int, list, tuple)) or value in (0, [], ()):
        raise UserError(
            f'{place} {value!r} leaves no sample; use n for the first n, -n for the last n, a list '
            'of numbers, or None for all'
        )


def _whole(places: str, least: int, example: int, each: bool = False) -> Rule:
    return Rule(places, functools.partial(check_whole, least=least, example=example), each)


def _number(places: str, example: float, above: float | None = None, each: bool = False) -> Rule:
    return Rule(places, functools.partial(check_number, above=above, example=example), each)


_RULES = [
    Rule(rf'model|data_preprocessor|randomness|env_cfg(\.\w+_cfg)?|{_LOADER}', _check_dict),
    Rule(r'default_hooks|(train|val|test)_cfg|optim_wrapper(\.optimizer)?', _check_dict),
    Rule(r'(val|test)_evaluator|custom_hooks|param_scheduler', _check_parts),
    Rule(rf'{_LOADER}\..*\bpipeline|model\..*\binit_cfg', _check_parts),
    Rule(rf'{_LOADER}\.(batch_)?sampler', _check_part),
    Rule(r'randomness', _check_seed),
    Rule(_LOADER, _check_loader),
    Rule(r'load_from', _check_path),
    Rule(r'log_level', _check_level),
    _whole(rf'{_LOADER}\.batch_size', 1, example=8),
    _whole(rf'{_LOADER}\.num_workers', 0, example=2),
    _whole(rf'{_LOADER}\.prefetch_factor', 1, example=2),
    _whole(rf'{_LOADER}\.num_batch_per_epoch', 1, example=100),
    Rule(rf'{_LOADER}\..*\bindices', _check_indices),
    _whole(rf'{_LOADER}\..*\btimes', 1, example=2),
    _whole(r'train_cfg\.max_epochs', 1, example=12),
    _whole(r'train_cfg\.max_iters', 1, example=80000),
    _number(r'train_cfg\.val_interval', above=0, example=1),
    _whole(r'train_cfg\.val_begin', 0, example=1),
    _number(r'param_scheduler(\.\d+)?\.(T_max|step_size)', above=0, example=100),
    _number(r'param_scheduler(\.\d+)?\.milestones', example=8, each=True),
    _whole(r'randomness\.seed', 0, example=0),
    _whole(r'auto_scale_lr\.base_batch_size', 1, example=16),
    _number(r'optim_wrapper\.(.*\.)?optimizer\.lr', example=1e-4),
    _number(r'optim_wrapper\..*\bweight_decay', example=0.05),
    _number(r'optim_wrapper\..*\b\w+_mult', example=0.1),
    _number(r'optim_wrapper\.(.*\.)?clip_grad\.(max_norm|clip_value)', above=0, example=1.0),
    _whole(r'optim_wrapper\.(.*\.)?accumulative_counts', 1, example=4),
    _whole(r'model\..*\b(patch_sizes?|in_patch_size)', 1, example=16, each=True),
    _whole(r'model\..*\b(pretrain_)?img_size', 1, example=224, each=True),
    _whole(r'model\..*\bnum_heads', 1, example=3, each=True),
    _whole(r'model\..*\bembed_dims?', 1, example=192, each=True),
    _whole(r'model\..*\b(num_layers|depths)', 1, example=12, each=True),
    Rule(
        r'model\..*\b(depths?|(num|stacked)_(\w+_)?(layers|convs|fcs|blocks|stages))',
        _check_depth,
        each=True,
    ),
    _whole(r'model\..*\b(in|out|feedforward)_channels', 1, example=768, each=True),
    _whole(r'model\..*\bwindow_size', 0, example=7, each=True),
    Rule(r'model\..*\b(drop_path(_rate)?|(attn_)?drop_rate)', check_probability, each=True),
    Rule(r'model\..*\b((attn|ffn|proj)_drop|dropout|drop_prob)', check_probability, each=True),
    # mmseg's heads take a negative ratio as none.
    Rule(r'model\..*\bdropout_ratio', functools.partial(check_probability, least=-math.inf)),
]


def value_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find the values that a run cannot use.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    found = set()
    for key in sorted(RUN_KEYS & content.keys()):
        for place, value in subtrees((key,), content[key]):
            for rule in _RULES:
                if value is not None and re.fullmatch(rule.places, place):
                    for problem in _refused(rule, place, value):
                        found.add(place)
                        yield problem
    for part in find_parts(content, scope):
        for key, value in part.node.items():
            place = f'{part}.{key}'
            if place not in found:
                yield from _of_wrong_type(place, value, [_hints(x).get(key) for x in part.targets])


def _refused(rule: Rule, place: str, value: Any) -> Iterator[Problem]:
    for item in _leaves(value) if rule.each else [value]:
        try:
            rule.check(place, item)
        except UserError as error:
            yield Problem(str(error))
            return


def _leaves(value: Any) -> Iterator[Any]:
    """A value, or those of lists within lists; dicts, and None for a default, are left out."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, dict):
        yield value


def _of_wrong_type(place: str, value: Any, hints: list[Any]) -> Iterator[Problem]:
    """A text or a dict where every class that is meant wants a number, or a text for yes or no.

    Annotations of the libraries are often narrower than what works (`int` where 0.5 is right, or
    a list), but never so wrong as this over all the configs they bring along.
    """
    if None in hints or not hints:
        return
    if isinstance(value, (str, dict)) and all(_numbers_only(hint) for hint in hints):
        yield Problem(f'{place} {value!r} is not a number; give one')
    elif isinstance(value, str) and value.lower() in _MEANT_AS_BOOL and set(hints) == {bool}:
        yield Problem(
            f'{place} {value!r} is a text, and any text counts as True; write True or False '
            'without quotes'
        )


def _numbers_only(hint: Any) -> bool:
    """Whether an annotation allows nothing but numbers, tensors, and None or sequences of them."""
    if typing.get_origin(hint) in (typing.Union, UnionType, tuple, list):
        return all(_numbers_only(item) for item in typing.get_args(hint) if item is not Ellipsis)
    return hint in (int, float, type(None)) or getattr(hint, '__name__', '') == 'Tensor'


@functools.cache
def _hints(target: Callable) -> dict[str, Any]:
    """The annotations of the arguments that a class and those it inherits from take."""
    found: dict[str, Any] = {}
    for owner in reversed(target.__mro__ if inspect.isclass(target) else (target,)):
        function = vars(owner).get('__init__') if inspect.isclass(owner) else owner
        try:
            found |= typing.get_type_hints(inspect.unwrap(function))
        except Exception:  # Annotations are code, so reading them can fail in any way.
            continue
    return found
