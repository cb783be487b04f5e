"""Names of one project for those of another, by pairs of a pattern and what it becomes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mmtoken.errors import UserError


def rename(name: str, names: Iterable[tuple[str, str]], source: str) -> str:
    """What the first pattern that matches a whole name makes of it.

    Args:
        name: Of a weight.
        names: Pairs of a pattern and its replacement.
        source: What the weights are called, for the error.

    Raises:
        UserError: If none matches.
    """
    for pattern, replacement in names:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    raise UserError(
        f'{name!r} is not a weight of a {source!r} model; check that `source` names where the file '
        'is from'
    )
