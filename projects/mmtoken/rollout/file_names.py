"""Names that files can have."""

from __future__ import annotations

import re
from collections.abc import Sequence


def file_names(names: Sequence[str]) -> list[str]:
    """What files of these names may be called: no separators or spaces, and no two alike.

    Args:
        names: Such as of classes, where 'Cabinet/shelf' is no file name, or of images of several
            folders.

    Returns:
        As many names; those that would be alike are numbered from the second on.
    """
    found = []
    for name in names:
        plain = unique = re.sub(r'[^\w.-]+', '-', name)
        number = 1
        while unique in found:
            number += 1
            unique = f'{plain}-{number}'
        found.append(unique)
    return found
