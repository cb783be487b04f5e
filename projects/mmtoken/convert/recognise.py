"""Whose layout the names of a file are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from mmtoken.errors import UserError, near_miss

from .conversion import NO_HINTS, Conversion, Family, Hints
from .families import FAMILIES
from .fit import check_fit

# Where models of texts begin: BERT, CLIP's other half, LLaMA and GPT-2.
_TEXT = re.compile(r'(?:.+\.)?(?:word_embeddings|token_embedding|embed_tokens|wte)\.weight')


def family_names() -> tuple[str, ...]:
    """What `--from` takes."""
    names = [name for family in FAMILIES for name in (family.name, *family.aliases)]
    return tuple(dict.fromkeys(names))


def recognise(state: Mapping[str, Tensor], source: str | None = None) -> Family:
    """The family whose layout weights have.

    Args:
        state: The weights.
        source: Its name, where the user says it.

    Returns:
        The first family that has all names and whose marks are there.

    Raises:
        UserError: If the source is unknown, or the names are of no family, or of two.
    """
    families = _named(source)
    marked = [family for family in families if family.has_marks(state)]
    strangers = {family.what: family.strangers(state) for family in marked}
    for family in marked:
        if not strangers[family.what]:
            return family
    if not marked:
        _refuse_text(state)
        raise UserError(
            f'{next(iter(state))!r} and the {len(state) - 1} other weights are of no known '
            f'{"model" if source is None else f"model of {source}"}; known are '
            f'{", ".join(family_names())}: give a checkpoint of one of them'
        )
    nearest = min(marked, key=lambda family: len(strangers[family.what]))
    stranger, *_ = unknown = strangers[nearest.what]
    others = [family for family in FAMILIES if _is_evident(family, state, stranger, unknown)]
    mixture = (
        f'{stranger!r} is of {others[0].what}: the file mixes two models; convert each by itself'
        if others
        else f'{stranger!r} has no counterpart in our backbones, which cannot compute what '
        'these weights do'
    )
    raise UserError(f'the weights look like those of {nearest.what}, but {mixture}')


def convert(
    state: Mapping[str, Tensor], source: str | None = None, hints: Hints = NO_HINTS
) -> Conversion:
    """Recognise weights and make them ours; what `tools/model_converters/convert.py` does.

    Args:
        state: The weights (`mmtoken.weights.weights_of`).
        source: The name of their family, where the user says it.
        hints: What the user says of them.

    Returns:
        Our weights, those of a head too, and the config of their backbone.

    Raises:
        UserError: As of `recognise`, or if something must be said that is not.
    """
    conversion = recognise(state, source).convert(state, hints)
    check_fit(conversion)
    return conversion


def _named(source: str | None) -> list[Family]:
    families = [f for f in FAMILIES if source is None or source in (f.name, *f.aliases)]
    if not families:
        names = family_names()
        raise UserError(
            f'source {source!r} is unknown; use one of {sorted(names)}'
            f'{near_miss(str(source), names)}'
        )
    return families


def _refuse_text(state: Mapping[str, Tensor]) -> None:
    if text := next(filter(_TEXT.fullmatch, state), None):
        raise UserError(
            f'{text!r} is of a model of texts, and no model of images stands beside it; give the '
            'checkpoint of one'
        )


def _is_evident(
    family: Family, state: Mapping[str, Tensor], name: str, unknown: Sequence[str]
) -> bool:
    """Whether a family has a name, and some that another one does not know are its marks."""
    if family.strangers({name: state[name]}):
        return False
    return any(re.fullmatch(mark, other) for mark in family.marks for other in unknown)
