"""The characters of glyph scenes: letters of three alphabets and signs, no two of one shape.

Objects are drawn 8 pixels high whatever their size on paper, so a letter and its smaller twin
(C and c), and letters that alphabets share (A, Alpha, Cyrillic A), are one class. Left out, too, is
what looks like a digit (O, I, l, Cyrillic Ze and be) and what 8 pixels cannot tell from its
neighbor: Lambda is an A without its bar. Every one is in every face of `mmtoken.datasets.glyphs`.
"""

from __future__ import annotations

import unicodedata

ALPHABETS = {
    'latin capitals': 'ABCDEFGHJKLMNPQRSTUVWXYZ',
    'latin small letters': 'adefghmnty',
    'greek': 'ΓαΔβΘδΞεΠλΣμΦξΨΩσςωη',
    'cyrillic': 'ЖДИЛЦЧЫЬЭЮЯЂЋЊЙѢ',
    'signs': '&@#$%*+=?/\\<>()~^£§∞√∫∇≠≤≥±→←↑↓♥♪♀♂■▲⊗⊥',
}


def interleave(groups: list[str]) -> str:
    """Characters of all groups, so mixed that every stretch has about the same share of each.

    Args:
        groups: Characters.

    Returns:
        str: All of them; those of one group keep their order.
    """
    places = [
        ((position + 0.5) / len(group), number, character)
        for number, group in enumerate(groups)
        for position, character in enumerate(group)
    ]
    return ''.join(character for *_, character in sorted(places))


def class_name(character: str) -> str:
    """A character's name in Unicode as a name of a folder: A is 'latin-capital-a'."""
    return unicodedata.name(character).lower().replace(' letter ', ' ').replace(' ', '-')


GLYPHS = interleave(list(ALPHABETS.values()))
"""All characters, in the order of the classes: any first n of them are of all alphabets."""


def glyph_names(count: int) -> tuple[str, ...]:
    """Names of the first classes.

    Args:
        count: How many.

    Returns:
        tuple[str, ...]: Names, of which folders can be named.
    """
    return tuple(class_name(character) for character in GLYPHS[:count])
