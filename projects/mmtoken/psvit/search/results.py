"""A finished search as its report shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from scipy import stats

from mmtoken.experiments.costs import count_costs, image_shape
from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.tool_steps import environment

from .budget import Costs, latency
from .search_file import SEARCHED, bounds
from .space import Schedule, Space


def make_search_results(
    search: Config,
    space: Space,
    costs: Costs,
    price: Callable[[Schedule], float],
    found: Mapping[Schedule, float],
    chosen: Mapping[str, Schedule],
    entries: Sequence[dict[str, Any]],
    exhaustive: bool,
) -> dict[str, Any]:
    """What the report of a search shows, as JSON holds it.

    Args:
        search: The search.
        space: Its space.
        costs: Of its schedules.
        price: What a schedule costs of the budget.
        found: What the supernet measured.
        chosen: The schedules that were retrained, by name.
        entries: Their runs and those of the baselines.
        exhaustive: Whether everything within the budget was measured.
    """
    key = search.metric.key
    trained = {entry['arm']: entry['metrics'][key] for entry in entries}
    kind, _, _ = bounds(search.budget)
    once = first_names(chosen)
    names = {schedule: name for name, schedule in once.items()}
    # What chance drew again is what was searched, and was trained once.
    retrained = {
        name: trained[names[schedule]]
        for name, schedule in chosen.items()
        if names[schedule] in trained
    }
    retrained |= {name: value for name, value in trained.items() if name not in once}
    both = [name for name in once if name in retrained and chosen[name] in found]
    searched = [name for name in retrained if name.startswith(SEARCHED)]
    winner = max(searched, key=lambda name: retrained[name])
    rank = None
    if len(both) > 2:
        pairs = [(found[chosen[name]], retrained[name]) for name in both]
        if all(len(set(values)) > 1 for values in zip(*pairs, strict=True)):
            rank = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    return dict(
        title=search.title,
        question=search.question,
        metric=dict(search.metric),
        budget=dict(search.budget),
        space=space.describe() | dict(schedules=len(space)),
        supernet=search.supernet.to_dict(),
        folds=search.folds,
        seed=search.seed,
        exhaustive=exhaustive,
        measured=[
            dict(
                schedule=str(schedule), value=value, price=price(schedule), **costs.count(schedule)
            )
            for schedule, value in found.items()
        ],
        retrained=[
            dict(
                name=name,
                value=value,
                schedule=str(chosen[name]) if name in chosen else None,
                measured=found.get(chosen[name]) if name in chosen else None,
                **(
                    dict(costs.count(chosen[name]), price=price(chosen[name]))
                    if name in chosen
                    else _baseline_costs(search, name, kind)
                ),
            )
            for name, value in retrained.items()
        ],
        found=str(chosen[winner]),
        rank_correlation=rank,
        environment=environment(),
    )


def first_names(chosen: Mapping[str, Schedule]) -> dict[str, Schedule]:
    """Schedules that were chosen, each under the first of its names."""
    names: dict[Schedule, str] = {}
    for name, schedule in chosen.items():
        names.setdefault(schedule, name)
    return {name: schedule for schedule, name in names.items()}


def _baseline_costs(search: Config, name: str, kind: str) -> dict[str, float]:
    (path,) = (baseline.config for baseline in search.baselines if baseline.name == name)
    cfg = load_config(path)
    model, shape = build_part(cfg, cfg.model), image_shape(cfg, None)
    counted = count_costs(model, shape, cfg.default_scope)
    found = {name: counted[name] for name in ('macs', 'params')}
    return found | {'price': latency(model, shape) if kind == 'latency_ms' else found[kind]}
