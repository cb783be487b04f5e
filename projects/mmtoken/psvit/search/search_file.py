"""A search file: what it may say, and what it means where it says nothing.

A search file is a Python config. All it may say::

    title = 'Which layers share, and where tokens are pooled'
    question = 'Is what the search finds better than what chance does?'
    config = 'configs/….py'                # a classifier of a PSViT, whose schedule is searched
    space = dict(units=4, widths=[96, 144], num_heads=[3, 4], choices=['FF', 'FS'])
    budget = dict(macs=50e6)               # at most, or (48e6, 51e6), from and to; or params, or
                                           # latency_ms of one image on a CPU here
    folds = 10                             # of the training set; on one schedules are compared
    supernet = dict(iterations=3000, options={})
    evolution = dict(population=50, generations=20, parents=10, crossover=25, mutation=25,
                     probability=0.1)
    retraining = dict(top=5, random=5, iterations=1000, options={})
    baselines = [dict(name='DeiT', config='configs/….py')]     # retrained as well
    metric = dict(key='accuracy/top1', name='top-1', unit='%')
    seed = 0

The format is our design. Evolution's defaults are those of BN-NAS, by the first author of PSViT;
the five that are retrained, those of GLiT, by the same group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmtoken.checks import check_number, check_probability, check_whole
from mmtoken.errors import UserError
from mmtoken.experiments.file_entries import LIST, check_entry, check_file
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.task import folder_name, folders_differ

from .space import build_space

# What each dict of a search must say, and what it may say; of what is `object`, see below.
SEARCH = (
    dict(
        title=str, question=str, config=str, space=Mapping, budget=Mapping, supernet=Mapping,
        retraining=Mapping, metric=Mapping,
    ),
    dict(folds=object, evolution=Mapping, baselines=LIST, seed=object),
)  # fmt: skip
PARTS = {
    'supernet': (dict(iterations=object), dict(options=Mapping)),
    'retraining': (dict(top=object, iterations=object), dict(random=object, options=Mapping)),
    'metric': (dict(key=str, name=str, unit=str), {}),
}
BASELINE = (dict(name=str, config=str), {})
# Names of what is retrained, before their numbers.
SEARCHED, DRAWN = 'searched', 'random'
BUDGETS = ('macs', 'params', 'latency_ms')
EVOLUTION = dict(
    population=50, generations=20, parents=10, crossover=25, mutation=25, probability=0.1
)


def load_search(path: Path) -> Config:
    """Read a search file and fill in what it may leave out.

    Args:
        path: The file.

    Returns:
        The search, with all of the names above.

    Raises:
        UserError: If something is missing or has no meaning.
    """
    search = load_config(str(path))
    check_file(f'search {path}', search, SEARCH)
    for name, table in PARTS.items():
        check_entry(f'{name} of search {path}', search[name], table)
    search.setdefault('folds', 10)
    search.setdefault('baselines', [])
    search.setdefault('seed', 0)
    search.evolution = {**EVOLUTION, **search.get('evolution', {})}
    table = dict.fromkeys(EVOLUTION, object), {}
    check_entry(f'evolution of search {path}', search.evolution, table)
    search.retraining.setdefault('random', 5)
    for part in (search.supernet, search.retraining):
        part.setdefault('options', {})
        check_whole('iterations', part.iterations, least=2, example=1000)
    check_whole('retraining.top', search.retraining.top, example=5)
    check_whole('retraining.random', search.retraining.random, least=0, example=5)
    for name in ('population', 'generations', 'parents'):
        check_whole(f'evolution.{name}', search.evolution[name], example=EVOLUTION[name])
    for name in ('crossover', 'mutation'):
        check_whole(f'evolution.{name}', search.evolution[name], least=0, example=EVOLUTION[name])
    check_probability('evolution.probability', search.evolution.probability)
    check_whole('seed', search.seed, least=0, example=0)
    _check_budget(search.budget, path)
    check_whole('folds', search.folds, least=2, example=10)
    build_space(search.space)
    load_config(search.config)
    _check_baselines(search, path)
    return search


def bounds(budget: Mapping[str, Any]) -> tuple[str, float, float]:
    """What a budget is of, the least and the most that it may be."""
    ((kind, limits),) = budget.items()
    least, most = limits if isinstance(limits, Sequence) else (0, limits)
    return kind, least, most


def _check_budget(budget: Mapping[str, Any], path: Path) -> None:
    kinds, limits = [*budget], [*budget.values()]
    if len(kinds) != 1 or kinds[0] not in BUDGETS:
        raise UserError(
            f'budget {dict(budget)} of search {path} is not one of {", ".join(BUDGETS)} '
            'and the most it may be; use one such as dict(macs=1.3e9)'
        )
    several = isinstance(limits[0], (list, tuple))
    for limit in limits[0] if several else limits:
        check_number(kinds[0], limit, above=0, example=1e9)
    if several and (len(limits[0]) != 2 or limits[0][0] >= limits[0][1]):
        raise UserError(
            f'{kinds[0]} {tuple(limits[0])} of the budget of search {path} is not the least and '
            'the most; give a number, or two in their order'
        )


def _check_baselines(search: Config, path: Path) -> None:
    for baseline in search.baselines:
        check_entry(f'a baseline of search {path}', baseline, BASELINE)
        load_config(baseline.config)
    names = [baseline.name for baseline in search.baselines]
    searched = any(folder_name(name).startswith((SEARCHED, DRAWN)) for name in names)
    if searched or names and not folders_differ(names):
        raise UserError(
            f'the baselines of search {path} have the names {names}; give names that differ in '
            f'letters or digits, and that are none of what is searched ({SEARCHED} 1, {DRAWN} 1 …)'
        )
