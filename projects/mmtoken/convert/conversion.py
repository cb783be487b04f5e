"""What a conversion yields, what a family of layouts is, and what a file cannot say of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from torch import Tensor

from mmtoken.checks import check_number, check_whole
from mmtoken.errors import UserError

from .rules import Fate, Renamed, Rule, apply_rules, find_rule


@dataclass(frozen=True)
class Hints:
    """What the user says of a file, where its names and shapes do not.

    Args:
        num_heads: h; by default that of the published model as wide.
        activation: Of the MLP, one of `describe.ACTIVATIONS`.
        img_size: Height and width in pixels that the positions are of; square by default.
        eps: Of the norms.
        window_size: Tokens per side of a window of Swin V2, or places of an inhomogeneous DWNet's.
    """

    num_heads: int | None = None
    activation: str | None = None
    img_size: tuple[int, int] | None = None
    eps: float | None = None
    window_size: int | None = None

    def __post_init__(self) -> None:
        for name in ('num_heads', 'window_size'):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), example=12)
        if self.eps is not None:
            check_number('eps', self.eps, above=0, example=1e-6)

    def check_taken(self, by: str, taken: Sequence[str]) -> None:
        """Refuse what would be ignored.

        Args:
            by: What the weights are of.
            taken: The names of what is read.

        Raises:
            UserError: If something else is said.
        """
        for hint in fields(self):
            if getattr(self, hint.name) is not None and hint.name not in taken:
                raise UserError(
                    f'--{hint.name.replace("_", "-")} says nothing of {by}, whose config does '
                    'not depend on it; leave it out'
                )


NO_HINTS = Hints()


@dataclass
class Conversion:
    """Weights that are ours, and the backbone that they are of.

    Args:
        family: Where they are from, by the name of the family.
        what: The same in words.
        state: `backbone.*` and `head.*`, to be loaded strictly.
        report: What became of every weight of the source.
        backbone: The config of the backbone.
        layout: What of the source's layout must be known to write it again.
        notes: What the user must know besides, a sentence each.
    """

    family: str
    what: str
    state: dict[str, Tensor]
    report: dict[str, Fate]
    backbone: dict
    layout: dict = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def composed(first: Conversion, then: Conversion) -> Conversion:
    """Two conversions, one after the other, as one: the report is of the weights of the first."""
    report = {}
    for old, fate in first.report.items():
        later = then.report.get(fate.into)
        if later is None:
            report[old] = fate
            continue
        plain = ('kept', 'renamed')
        what = fate.what if later.what in plain else later.what
        if what in plain:
            what = 'kept' if later.into == old else 'renamed'
        why = '; '.join(filter(None, (fate.why, later.why)))
        report[old] = Fate(what, later.into, why)
    return replace(then, what=f'{first.what}, as {then.what}', report=report, notes=first.notes)


# What a family does with weights that have our names: it may change them, and returns the config of
# their backbone.
Finish = Callable[[Mapping[str, Tensor], Renamed, Hints], dict]


@dataclass(frozen=True)
class Family:
    """One layout of weights: how to know it, and what it becomes.

    Args:
        name: As `--from` takes it; several layouts of a project may share it.
        what: In words, as the tool says what it recognised.
        marks: Patterns of names: a file has one that matches each, or is not of this family.
        rules: Of all names that the layout may have, given those of a file; or the same for all.
        finish: What is done with the renamed weights, and the config of the backbone.
        aliases: Further names for `--from`, of projects that use the same layout.
        layout: What to keep of a file's layout, given its weights and ours.
        notes: What to say of every file.
        takes: Which hints it reads.
    """

    name: str
    what: str
    marks: tuple[str, ...]
    rules: Sequence[Rule] | Callable[[Mapping[str, Tensor]], Sequence[Rule]]
    finish: Finish
    aliases: tuple[str, ...] = ()
    layout: Callable[[Mapping[str, Tensor], Renamed], dict] | None = None
    notes: tuple[str, ...] = ()
    takes: tuple[str, ...] = ('num_heads', 'activation', 'img_size', 'eps')

    def has_marks(self, names: Collection[str]) -> bool:
        """Whether names have what is particular to the layout."""
        return all(any(re.fullmatch(mark, name) for name in names) for mark in self.marks)

    def strangers(self, state: Mapping[str, Tensor]) -> list[str]:
        """The names of a file that the layout does not have."""
        rules = self.rules_of(state)
        return [name for name in state if find_rule(name, rules) is None]

    def rules_of(self, state: Mapping[str, Tensor]) -> Sequence[Rule]:
        """The rules for the names of a file."""
        return self.rules(state) if callable(self.rules) else self.rules

    def convert(self, state: Mapping[str, Tensor], hints: Hints = NO_HINTS) -> Conversion:
        """Make weights ours.

        Args:
            state: The weights, by the names of the layout.
            hints: What the user says of them.

        Returns:
            All of them, those of a head too, and the config of their backbone.

        Raises:
            UserError: If a weight has no place, or something must be said that is not.
        """
        hints.check_taken(self.what, self.takes)
        renamed = apply_rules(state, self.rules_of(state), self.name)
        backbone = self.finish(state, renamed, hints)
        layout = self.layout(state, renamed) if self.layout else {}
        return Conversion(
            self.name,
            self.what,
            renamed.state,
            renamed.report,
            backbone,
            {'family': self.name, **layout},
            list(self.notes),
        )
