"""Names of one project for those of another, by rules, and what became of every weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from mmtoken.errors import UserError


@dataclass(frozen=True)
class Rule:
    """What becomes of the weights whose whole name matches a pattern.

    Args:
        old: The pattern.
        new: What it becomes, with the pattern's groups as `\\1`; None where it is left out.
        why: Why it is left out, or how its values change; said in the report.
        part: Where several weights make one, one below the other: the place of this one. A bias
            whose others are there and that is not is zero.
        parts: How many they are.
        change: What its values go through, if anything.
    """

    old: str
    new: str | None
    why: str = ''
    part: int | None = None
    parts: int = 3
    change: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Fate:
    """What became of a weight.

    Args:
        what: 'kept' or 'renamed', 'joined' with others, 'changed' in its values, or 'dropped'.
        into: Its new name; None where it was dropped.
        why: Why, or how.
    """

    what: str
    into: str | None
    why: str = ''

    def as_dict(self) -> dict[str, str | None]:
        """For a report file."""
        return asdict(self)


@dataclass
class Renamed:
    """Weights by their new names, and what became of those by the old ones.

    Args:
        state: Names and tensors.
        report: The fate of every old name.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    report: dict[str, Fate] = field(default_factory=dict)

    def drop(self, new: str, why: str) -> None:
        """Leave out a weight after all, by its new name."""
        self.state.pop(new)
        for old, fate in self.report.items():
            if fate.into == new:
                self.report[old] = Fate('dropped', None, why)

    def change(self, new: str, value: Tensor, why: str) -> None:
        """Put other values in the place of a weight's, by its new name, and say why."""
        self.state[new] = value
        for old, fate in self.report.items():
            if fate.into == new:
                self.report[old] = Fate('changed', new, why)


def of_backbone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of converted weights that are the backbone's, by its own names."""
    prefix = 'backbone.'
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def find_rule(name: str, rules: Sequence[Rule]) -> tuple[Rule, str | None] | None:
    """The first rule whose pattern matches a name, and the new name; None where there is none."""
    for rule in rules:
        if match := re.fullmatch(rule.old, name):
            return rule, rule.new and match.expand(rule.new)
    return None


def apply_rules(state: Mapping[str, Tensor], rules: Sequence[Rule], source: str) -> Renamed:
    """Rename weights, join and change them, and drop what has no place.

    Args:
        state: The weights.
        rules: Of them, the first that matches a name is its.
        source: What the weights are called, for the error.

    Returns:
        Our weights, in the order of the file, and the fate of every name of it.

    Raises:
        UserError: If a name matches no rule, two become the same, or a part is missing.
    """
    done, joined = Renamed(), {}
    for name, value in state.items():
        found = find_rule(name, rules)
        if found is None:
            raise UserError(
                f'{name!r} is not a weight of a {source!r} model; check that `source` names where '
                'the file is from'
            )
        rule, new = found
        if new is None:
            done.report[name] = Fate('dropped', None, rule.why)
            continue
        if rule.part is not None:
            parts = joined.setdefault(new, [None] * rule.parts)
            _check_free(parts[rule.part] is None, name, new, done)
            parts[rule.part] = value
            # Its place among the others.
            done.state.setdefault(new, value)
            why = rule.why or f'part {rule.part + 1} of {rule.parts}'
            done.report[name] = Fate('joined', new, why)
            continue
        _check_free(new not in done.state, name, new, done)
        done.state[new] = made = value if rule.change is None else rule.change(value)
        what = 'changed' if made is not value else 'kept' if new == name else 'renamed'
        why = '' if rule.change is not None and made is value else rule.why
        done.report[name] = Fate(what, new, why)
    for new, parts in joined.items():
        done.state[new] = _join(new, parts)
    return done


def _check_free(free: bool, name: str, new: str, done: Renamed) -> None:
    if not free:
        other = next(old for old, fate in done.report.items() if fate.into == new)
        raise UserError(
            f'{other!r} and {name!r} would both become {new!r}: the file mixes two models; '
            'convert each by itself'
        )


def _join(new: str, parts: Sequence[Tensor | None]) -> Tensor:
    given = next(part for part in parts if part is not None)
    missing = [place for place, part in enumerate(parts) if part is None]
    if missing and not new.endswith('.bias'):
        raise UserError(
            f'{new!r} is made of {len(parts)} weights, and the file lacks number {missing[0] + 1}; '
            'it is damaged or of an unknown model'
        )
    return torch.cat([torch.zeros_like(given) if part is None else part for part in parts])
