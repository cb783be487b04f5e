"""Which training scenes a run of a study sees.

A study either draws anew for every seed, or names a checked-in file of draws. Such a file keeps the
last scenes out of every draw, so that a sweep can choose on them. Our design.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError


def subset_indices(size: int, total: int, seed: int) -> list[int]:
    """Draw training samples; of one seed, a smaller draw is part of a larger one.

    Args:
        size: Number of samples.
        total: Samples in the data set.
        seed: The run's seed, so that the interval covers the choice of samples too.

    Returns:
        Sorted indices.
    """
    return sorted(random.Random(seed).sample(range(total), total)[:size])


def make_draws(total: int = 1500, drawn_from: int = 1200, number: int = 5) -> dict[str, Any]:
    """Draw orders of scenes; a draw of n scenes is the first n of its order.

    Args:
        total: Scenes in the training set.
        drawn_from: Scenes that may be drawn, the first ones; the others are held out.
        number: Orders, of which seed s uses number s modulo this.

    Returns:
        ``total``, ``drawn_from`` and ``orders``, each a permutation of the first ``drawn_from``.
    """
    orders = [random.Random(index).sample(range(drawn_from), drawn_from) for index in range(number)]
    return {'total': total, 'drawn_from': drawn_from, 'orders': orders}


def write_draws(draws: dict[str, Any], path: Path) -> None:
    """Write orders of scenes, one in a line.

    Args:
        draws: What :func:`make_draws` returned.
        path: The JSON file.
    """
    orders = ',\n'.join(json.dumps(order, separators=(',', ':')) for order in draws['orders'])
    head = f'"total": {draws["total"]},\n"drawn_from": {draws["drawn_from"]}'
    path.write_text(f'{{\n{head},\n"orders": [\n{orders}\n]\n}}\n')


def drawn_indices(path: Path, size: int, seed: int) -> list[int] | None:
    """Look up the scenes of a draw.

    Args:
        path: A file that :func:`write_draws` wrote.
        size: Number of scenes.
        seed: The run's seed.

    Returns:
        Sorted indices; None for the whole training set, its held-out part included.

    Raises:
        UserError: If there is no such file, or the draw cannot be had.
    """
    if not path.is_file():
        raise UserError(
            f'the file of draws {path} does not exist; '
            'give subset.draws as a path relative to the study file'
        )
    draws = json.loads(path.read_text())
    if size == draws['total']:
        return None
    if not 0 < size <= draws['drawn_from']:
        raise UserError(
            f'{path} has no draw of {size} scenes; choose 1 to {draws["drawn_from"]}, '
            f'or all {draws["total"]}'
        )
    orders: Sequence[list[int]] = draws['orders']
    return sorted(orders[seed % len(orders)][:size])
