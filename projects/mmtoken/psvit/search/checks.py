"""What would end a search late or badly, refused before anything is trained."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import combinations, product
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import METRICS
from mmpretrain.models import BaseClassifier

from mmtoken.config_check.check import check_config
from mmtoken.dense import check_pyramids
from mmtoken.errors import UserError
from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.tasks.task import text_digest, write_json

from .budget import scheduled_backbone
from .judge import Judge
from .search_file import bounds
from .space import Schedule, Space
from .supernet import check_free

# In a search's folder: what it searches.
STAMP = 'search.json'


def check_fit(search: Config, space: Space, cfg: Config) -> None:
    """Refuse what would fail once the supernet is trained.

    Args:
        search: The search.
        space: Its space.
        cfg: The config whose schedule it searches.

    Raises:
        UserError: If it is no classifier, its backbone names layers of its own schedule, the head
            does not fit the last stage, a schedule cannot be built, or the metric is none of those
            that the config measures.
    """
    check_config(cfg, ('model', 'train_dataloader', 'test_dataloader', 'test_evaluator'))
    if not isinstance(build_part(cfg, cfg.model, 'meta'), BaseClassifier):
        raise UserError(
            f'{cfg.filename} is no config of a classifier; give one whose backbone is a PSViT'
        )
    model = deepcopy(cfg.model)
    stages = space.stages(next(iter(space)))
    model.backbone = scheduled_backbone(model.backbone, stages)
    check_free(dict(model.backbone, stages=None))
    check_pyramids(build_part(cfg, model, 'meta'))
    evaluators = cfg.test_evaluator
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    with METRICS.switch_scope_and_registry(cfg.default_scope) as registry:
        prefixes = [
            evaluator.get('prefix')
            or getattr(registry.get(evaluator['type']), 'default_prefix', '')
            for evaluator in evaluators
        ]
    key = search.metric.key
    if prefixes and all(prefix and not key.startswith(f'{prefix}/') for prefix in prefixes):
        raise UserError(
            f'metric.key {key!r} is none that {cfg.filename} measures; its test_evaluator has the '
            f'prefix {", ".join(prefixes)}, as in {prefixes[0]}/top1'
        )


def check_measure(cfg: Config, key: str, path: Schedule) -> None:
    """Measure a path of an untrained supernet on two images, as all will be.

    Args:
        cfg: Of the supernet.
        key: The metric.
        path: The path.

    Raises:
        UserError: If the supernet cannot be built, or the metric is not measured.
    """
    cfg = deepcopy(cfg)
    dataset = cfg.test_dataloader.dataset.dataset
    cfg.test_dataloader.dataset = dict(dataset, indices=2)
    Judge(cfg, None, key).measure(str(path))


@contextmanager
def occupy(folder: Path) -> Iterator[None]:
    """Keep other searches out of a folder, until this one ends, however it does.

    Args:
        folder: The folder; it need not exist.

    Raises:
        UserError: If another search is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f'another search runs in the folder {folder}; let it end first, or give this one '
                'another --work-dir'
            ) from None
        except OSError:
            pass  # The file system has no locks.
        yield


def claim(
    folder: Path, search: Config, space: Space, cfg: Config, processes: int = 1
) -> Callable[[], None]:
    """Be sure that a folder holds this search, or nothing.

    Args:
        folder: The folder.
        search: The search.
        space: Its space.
        cfg: The config whose schedule it searches.
        processes: That train the supernet.

    Returns:
        What makes the folder this search's, once nothing else speaks against it.

    Raises:
        UserError: If it holds another one, with what differs.
    """
    own = dict(
        space=space.describe(),
        folds=search.folds,
        seed=search.seed,
        supernet=search.supernet.to_dict(),
        processes=processes,
        config=text_digest(str(cfg.to_dict())),
    )
    own = json.loads(json.dumps(own))
    stamp = folder / STAMP
    if stamp.exists():
        theirs = {'processes': 1, **json.loads(stamp.read_text())}
        differing = [name for name in own if own[name] != theirs.get(name)]
        if differing == ['config']:
            raise UserError(
                f'{cfg.filename} is not what it was when the search in {folder} began; give it '
                'another --work-dir, or remove the folder'
            )
        if differing:
            name = differing[0]
            raise UserError(
                f'the folder {folder} holds a search of another {name}: {theirs.get(name)}, and '
                f'this one has {own[name]}; give it another --work-dir, or remove the folder'
            )

    def keep() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(stamp, own)

    return keep


def least_costly(
    space: Space, budget: Mapping[str, float], price: Callable[[Schedule], float]
) -> Schedule:
    """A schedule that meets a budget: that which costs least or, where the budget has a least, too,
    the first that costs as much. Where it is measured, the least is that of a few.

    Args:
        space: The space.
        budget: One of `BUDGETS` and the most it may be, or the least and the most.
        price: What a schedule costs of it.

    Raises:
        UserError: If no schedule meets it.
    """
    kind, lower, most = bounds(budget)
    places = [*combinations(range(1, space.units), len(space.widths) - 1)]

    def alike(letters: Sequence[str], pools: tuple[int, ...]) -> Schedule:
        stages = (sum(pool <= unit for pool in pools) for unit in range(space.units))
        return Schedule(tuple(letters[stage] for stage in stages), pools)

    # A unit costs the same wherever it stands in a stage: all of a stage are of the cheaper kind,
    # and of the same one wherever the pools are. By the clock it need not be the one that shares.
    kinds = product(space.choices, repeat=len(space.widths))
    tried = {alike(letters, places[0]): letters for letters in kinds}
    letters = tried[min(tried, key=price)]
    least = min([*tried, *(alike(letters, pools) for pools in places)], key=price)
    if price(least) > most:
        raise UserError(
            f'no schedule of the space meets the budget of {most:g} {kind}; the least, {least}, '
            f'costs {price(least):g}: raise the budget, or give the space narrower widths'
        )
    if price(least) >= lower:
        return least
    fitting = next((schedule for schedule in space if lower <= price(schedule) <= most), None)
    if fitting is None:
        raise UserError(
            f'no schedule of the space costs from {lower:g} to {most:g} {kind}; give the budget '
            'other limits, or the space other widths'
        )
    return fitting
