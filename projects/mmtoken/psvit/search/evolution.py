"""Evolutionary search: the best schedules have children, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from .space import Schedule, Space

# Children that are known already, or too costly, are drawn again, so often for each that is wanted.
TRIES = 50


def evolve(
    space: Space,
    fits: Callable[[Schedule], bool],
    judge: Callable[[Sequence[Schedule]], Mapping[Schedule, float]],
    options: Mapping[str, Any],
    seed: int,
    first: Sequence[Schedule] = (),
) -> dict[Schedule, float]:
    """Search a space (our design, after single-path one-shot search, arXiv 1904.00420).

    Of each generation and all before it the best are parents; the next has their children, by
    crossing and by mutation, none twice, and chance fills what is left. Everything that is drawn
    comes from the seed, so that a search that is repeated asks for the same schedules.

    Args:
        space: The space.
        fits: Whether a schedule meets the budget.
        judge: Measures some schedules: higher is better.
        options: `population`, `generations`, `parents`, `crossover`, `mutation` and `probability`.
        seed: Of the draws.
        first: Schedules of the first population, so that a budget which few meet is met.

    Returns:
        Every schedule that was measured, and its measure.
    """
    random, found = Random(seed), {}
    population = _fill([*first], options['population'], space, fits, found, random)
    for _ in range(options['generations']):
        if not population:  # The space is exhausted.
            break
        found |= judge(population)
        parents = best(found, options['parents'])
        population = _breed(parents, space, fits, found, options, random)
        population = _fill(population, options['population'], space, fits, found, random)
    return found


def best(found: Mapping[Schedule, float], count: int) -> list[Schedule]:
    """The schedules of the highest measures; of equal ones, the first in the alphabet."""
    return sorted(found, key=lambda schedule: (-found[schedule], str(schedule)))[:count]


def _breed(
    parents: Sequence[Schedule],
    space: Space,
    fits: Callable[[Schedule], bool],
    found: Mapping[Schedule, float],
    options: Mapping[str, Any],
    random: Random,
) -> list[Schedule]:
    def cross() -> Schedule:
        return space.cross(*_pair(parents, random), random)

    def mutate() -> Schedule:
        return space.mutate(random.choice(parents), random, options['probability'])

    children = _draw(cross, options['crossover'], fits, {*found})
    return children + _draw(mutate, options['mutation'], fits, {*found, *children})


def _pair(parents: Sequence[Schedule], random: Random) -> Sequence[Schedule]:
    return random.sample(parents, 2) if len(parents) > 1 else (parents[0], parents[0])


def _fill(
    population: list[Schedule],
    size: int,
    space: Space,
    fits: Callable[[Schedule], bool],
    found: Mapping[Schedule, float],
    random: Random,
) -> list[Schedule]:
    known, missing = {*found, *population}, size - len(population)
    drawn = _draw(lambda: space.sample(random), missing, fits, known)
    return [*population, *drawn]


def _draw(
    make: Callable[[], Schedule],
    count: int,
    fits: Callable[[Schedule], bool],
    known: set[Schedule],
) -> list[Schedule]:
    drawn: list[Schedule] = []
    for _ in range(TRIES * max(count, 0)):
        if len(drawn) == count:
            break
        schedule = make()
        if schedule not in known and fits(schedule):
            known.add(schedule)
            drawn.append(schedule)
    return drawn
