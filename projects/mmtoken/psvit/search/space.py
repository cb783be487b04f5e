"""What is searched: which layers share a map, and where tokens are pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb
from random import Random
from typing import Any

from mmtoken.checks import check_whole
from mmtoken.errors import UserError

UNITS = ('FF', 'FS')


@dataclass(frozen=True)
class Schedule:
    """One point of the space.

    Args:
        units: The letters of every unit.
        pools: The units before which tokens are pooled, ascending; not the first.
    """

    units: tuple[str, ...]
    pools: tuple[int, ...]

    def __str__(self) -> str:
        """Its letters, a bar at each pool, such as 'FSFF|FSFS|FF'."""
        bounds = (0, *self.pools, len(self.units))
        pairs = zip(bounds, bounds[1:], strict=False)
        return '|'.join(''.join(self.units[a:b]) for a, b in pairs)


class Space:
    """Units of two layers, FF or FS each, and stages of a given width (our design).

    PSViT (arXiv 2108.03428) makes the number of tokens of each layer and which layers share
    hyper-parameters that are searched; which choices it has is not known to us. Here a unit is two
    layers, of which the second may share the map of the first, and tokens are pooled between units,
    as often as there are widths but one. 6 units and two pools are 2⁶·10 = 640 schedules.

    Args:
        units: U, units of two layers.
        widths: Channels of each stage; one less is the number of pools.
        num_heads: Heads of each stage.
        choices: Letters that a unit may have.

    Raises:
        UserError: If it has no schedule; the message names why.
    """

    def __init__(
        self,
        units: int,
        widths: Sequence[int],
        num_heads: Sequence[int],
        choices: Sequence[str] = UNITS,
    ) -> None:
        check_whole('space.units', units, example=6)
        for name, numbers in (('widths', widths), ('num_heads', num_heads)):
            if not isinstance(numbers, (list, tuple)) or not numbers:
                raise UserError(f'space.{name} {numbers!r} is no list; give one number a stage')
            for number in numbers:
                check_whole(f'space.{name}', number, example=192)
        if len(num_heads) != len(widths):
            raise UserError(
                f'space.num_heads {list(num_heads)} is not as long as space.widths {list(widths)}; '
                'give one number a stage'
            )
        if len(widths) > units:
            raise UserError(
                f'space.widths {list(widths)} are more stages than the {units} units; '
                'every stage has one unit at least'
            )
        listed = isinstance(choices, (list, tuple)) and choices
        if not listed or any(choice not in UNITS for choice in choices):
            raise UserError(
                f'space.choices {choices!r} are not some of {list(UNITS)}; a unit begins with '
                'F, and its second layer may share'
            )
        self.units = units
        self.widths = tuple(widths)
        self.num_heads = tuple(num_heads)
        self.choices = tuple(dict.fromkeys(choices))

    @property
    def units_of_stage(self) -> int:
        """How many units can be in a stage: all but one in each of the others."""
        return self.units - len(self.widths) + 1

    def __len__(self) -> int:
        """How many schedules there are."""
        return len(self.choices) ** self.units * comb(self.units - 1, len(self.widths) - 1)

    def __iter__(self) -> Iterator[Schedule]:
        """All of them, in an order that stays."""
        for pools in combinations(range(1, self.units), len(self.widths) - 1):
            for units in product(self.choices, repeat=self.units):
                yield Schedule(units, pools)

    def __contains__(self, schedule: Schedule) -> bool:
        count = len(self.widths) - 1
        places = schedule.pools == tuple(sorted(set(schedule.pools)))
        inside = all(0 < pool < self.units for pool in schedule.pools)
        known = all(unit in self.choices for unit in schedule.units)
        lengths = (len(schedule.units), len(schedule.pools)) == (self.units, count)
        return places and inside and known and lengths

    def sample(self, random: Random) -> Schedule:
        """One of them, each as probable as any other."""
        units = tuple(random.choice(self.choices) for _ in range(self.units))
        pools = random.sample(range(1, self.units), len(self.widths) - 1)
        return Schedule(units, tuple(sorted(pools)))

    def mutate(self, schedule: Schedule, random: Random, probability: float) -> Schedule:
        """A neighbor: each unit, and the places of the pools, drawn anew with a probability."""
        units = tuple(
            random.choice(self.choices) if random.random() < probability else unit
            for unit in schedule.units
        )
        drawn = self.sample(random).pools
        return Schedule(units, drawn if random.random() < probability else schedule.pools)

    def cross(self, first: Schedule, second: Schedule, random: Random) -> Schedule:
        """A child: each unit from one of two parents, the pools from one of them."""
        pairs = zip(first.units, second.units, strict=True)
        units = tuple(random.choice(pair) for pair in pairs)
        return Schedule(units, random.choice((first, second)).pools)

    def stages(self, schedule: Schedule) -> list[dict[str, Any]]:
        """A schedule as `PSViT` takes it."""
        return [
            dict(depth=len(pattern), embed_dims=width, num_heads=heads, pattern=pattern)
            for pattern, width, heads in zip(
                str(schedule).split('|'), self.widths, self.num_heads, strict=True
            )
        ]

    def read(self, text: str) -> Schedule:
        """The schedule of a text that `str` of one has made.

        Raises:
            UserError: If it is none of this space.
        """
        parts = text.split('|')
        letters = ''.join(parts)
        units = tuple(letters[place : place + 2] for place in range(0, len(letters), 2))
        ends = [sum(map(len, parts[: count + 1])) / 2 for count in range(len(parts) - 1)]
        schedule = Schedule(units, tuple(int(end) for end in ends))
        if any(end % 1 for end in ends) or schedule not in self:
            raise UserError(
                f'{text!r} is no schedule of this space of {len(self)}; one is '
                f'{str(next(iter(self)))!r}'
            )
        return schedule

    def describe(self) -> dict[str, Any]:
        """What tells it from another, as JSON."""
        return dict(
            units=self.units,
            widths=list(self.widths),
            num_heads=list(self.num_heads),
            choices=list(self.choices),
        )


def build_space(cfg: Mapping[str, Any]) -> Space:
    """A space from its config.

    Raises:
        UserError: If it lacks something, or has what a space does not take.
    """
    known = {'units', 'widths', 'num_heads', 'choices'}
    missing, unknown = {'units', 'widths', 'num_heads'} - cfg.keys(), cfg.keys() - known
    if missing or unknown:
        raise UserError(
            f'space {"lacks " + ", ".join(sorted(missing)) if missing else ""}'
            f'{"has unknown keys " + ", ".join(sorted(unknown)) if unknown else ""}; '
            f'it takes {", ".join(sorted(known))}'
        )
    return Space(**cfg)
