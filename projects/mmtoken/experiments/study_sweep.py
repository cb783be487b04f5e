"""How a study chooses the options of its arms: candidates, trained and measured on held-out data.

Each arm trains with the same candidates, so at the same cost, and its final runs use the one with
the best mean on a part of the training set that no run of the sweep has trained on. The protocol is
that of Li et al. (arXiv:2111.11429), who sweep for every initialisation; the engine is our design.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.tasks.task import folders_differ

# What tells two data sets apart; they may differ in transforms and filters and be the same.
SOURCE = ('data_root', 'ann_file', 'data_prefix', 'split')


def check_candidates(study: Config, path: Path) -> None:
    """Refuse candidates of equal names, and those that set what an arm sets.

    A candidate is merged after the study's options, which it is there to replace, and after the
    arm's, which it must not: the arm would then not be what its name says.

    Args:
        study: The study.
        path: Its file, for the error.

    Raises:
        UserError: For the first that does not fit.
    """
    candidates = study.sweep.candidates
    names = [candidate.name for candidate in candidates]
    if not folders_differ(names):
        raise UserError(
            f'sweep.candidates of study {path} have the names {names}; '
            'give one candidate or more, of names that differ in letters or digits'
        )
    for arm in study.arms:
        own = _places(arm.get('options', {}), whole=False)
        for candidate in candidates:
            for place in _places(candidate.options, whole=True):
                if any(_inside(place, other) or _inside(other, place) for other in own):
                    raise UserError(
                        f'the candidate {candidate.name!r} sets {place}, which the arm '
                        f'{arm.name!r} of study {path} sets too; leave it to one of them'
                    )


def check_seeds(study: Config, seeds: Sequence[int]) -> None:
    """Keep the seeds of the sweep out of the final runs.

    Args:
        study: The study.
        seeds: Those of the final runs.

    Raises:
        UserError: If a seed is both.
    """
    common = sorted({*seeds} & {*study.sweep.seeds}) if study.sweep else []
    if common:
        raise UserError(
            f'the sweep chooses with the seeds {list(study.sweep.seeds)}, so that the final seeds '
            f'{list(seeds)} are not all new to it; leave out {", ".join(map(str, common))}'
        )


def check_held_out(tuning: Config, final: Config, arm: str) -> None:
    """Be sure that a sweep chooses neither on what is reported nor on what it trains with.

    Args:
        tuning: Config of a run of the sweep.
        final: Config of the same arm's final run.
        arm: Its name, for the error.

    Raises:
        UserError: If it does.
    """
    train, test = tuning.train_dataloader.dataset, tuning.test_dataloader.dataset
    if test == final.test_dataloader.dataset:
        raise UserError(
            f'the sweep of {arm!r} would choose on the data that the study reports; point '
            'test_dataloader.dataset in sweep.options at a held-out part of the training set'
        )
    if any(train.get(key) != test.get(key) for key in SOURCE):
        return
    seen, held_out = _indices(train.get('indices')), _indices(test.get('indices'))
    common = None if seen is None or held_out is None else seen & held_out
    if common is None or common:
        number = 'all' if common is None else len(common)
        raise UserError(
            f'the sweep of {arm!r} would choose on {number} of the samples that it trains with; '
            'set test_dataloader.dataset.indices in sweep.options to samples that no draw holds'
        )


def tuned_x(study: Config, x: float | str) -> float | str:
    """Where the options of a point were chosen: the nearest tuned one in the order of the study.

    Order, and not difference, since points need not be numbers; of two equally near, the earlier.

    Args:
        study: A study with a sweep.
        x: The point's value.

    Returns:
        The tuned point's value.
    """
    order = [point.value for point in study.x['values']]
    tuned = sorted(study.sweep.x, key=order.index)
    return min(tuned, key=lambda value: abs(order.index(value) - order.index(x)))


def choose(study: Config, entries: Sequence[dict[str, Any]]) -> dict[tuple[str, Any], str]:
    """Choose the candidate of the best mean, the first of equals.

    Args:
        study: A study with a sweep.
        entries: The sweep's finished runs, as ``results.json`` holds them.

    Returns:
        The candidate's name by arm and tuned x; only those all of whose candidates are finished.
    """
    found: dict[tuple[str, Any], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        value = entry['metrics'][study.sweep.metric]
        found[entry['arm'], entry['x']][entry['candidate']].append(value)
    names = [candidate.name for candidate in study.sweep.candidates]
    seeds = len(study.sweep.seeds)
    return {
        place: max(names, key=lambda name: np.nan_to_num(np.mean(values[name]), nan=-np.inf))
        for place, values in found.items()
        if all(len(values[name]) == seeds for name in names)
    }


def _places(options: dict[str, Any], whole: bool) -> list[str]:
    """Dotted names of the leaves; ``whole`` makes a dict that replaces another one leaf."""
    places = []
    for key, value in options.items():
        if isinstance(value, dict) and value and not (whole and value.get('_delete_')):
            places += [f'{key}.{place}' for place in _places(value, whole)]
        elif key != '_delete_':
            places.append(key)
    return places


def _inside(place: str, other: str) -> bool:
    return place == other or place.startswith(other + '.')


def _indices(given: int | Sequence[int] | None) -> set[int] | None:
    """What mmengine's ``indices`` keep of a data set; None for all."""
    if given is None:
        return None
    return {*range(given)} if isinstance(given, int) else {*given}
