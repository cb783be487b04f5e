"""How much of a data set's classes can be read off frozen patch tokens (our design).

k nearest neighbors and a logistic regression learn the class of every patch from the features of
some training scenes. A tenth of these scenes is held out to choose k and C by mean IoU, of few
scenes one tenth after the other; then both learn from all of them and are tested once.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.config import Config
from rich.progress import track
from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import build_frozen_backbone
from mmtoken.experiments.probe_classifiers import Reader, choose, count, fit, make_readers, scores
from mmtoken.experiments.probe_data import (
    build_dataset,
    build_preprocessor,
    check_data_config,
    choose_scenes,
    normalized_alike,
)
from mmtoken.experiments.probe_patches import Patches, PatchReader, gather
from mmtoken.tasks.task import file_digest
from mmtoken.tasks.tool_steps import environment

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# A tenth of fewer is no scene.
MIN_SCENES = 10
# How many scenes are held out in all, a tenth at a time. Three, a tenth of 30, lack classes, and on
# digit scenes what was chosen on them lost up to 6 points of mean IoU.
HELD_OUT = 30
MAX_PATCHES = 100_000


def probe(
    cfg: Config,
    weights: str | Mapping[str, Tensor] | None,
    data_cfg: Config | None = None,
    *,
    train_scenes: int | Sequence[int] | None = None,
    test_scenes: int | Sequence[int] | None = None,
    max_patches: int = MAX_PATCHES,
    level: int = -1,
    seed: int = 0,
    device: str = 'cpu',
    progress: bool = False,
) -> dict[str, Any]:
    """Probe a backbone on a segmentation data set.

    Args:
        cfg: The backbone's config, of any of the three libraries.
        weights: A checkpoint's file, or weights; None for random ones.
        data_cfg: The segmentation config whose data, test pipeline and data preprocessor are used;
            `cfg` by default.
        train_scenes: How many training scenes, the first; or which. None for all that the config
            trains on.
        test_scenes: The same of the test data.
        max_patches: The most training patches: of more, as many of every scene are kept, drawn with
            a fixed seed.
        level: Which of the backbone's feature maps.
        seed: Of random weights.
        device: Where the backbone runs.
        progress: Whether bars are shown.

    Returns:
        For 'knn' and 'logreg' what `scores` says of the test scenes, what was `chosen` and
        what was `tried`; beside them what it was measured with, and `notes`, sentences that a
        reader of the numbers should know. All of it can be written as JSON.

    Raises:
        UserError: If config, weights or data do not allow it.
    """
    data_cfg = data_cfg or cfg
    check_data_config(data_cfg)
    readers = make_readers()
    backbone = build_frozen_backbone(cfg, weights, seed, device)
    preprocess = build_preprocessor(data_cfg).to(device)
    train, test = (
        PatchReader(build_dataset(data_cfg, training), preprocess, backbone, level)
        for training in (True, False)
    )
    classes = _common_classes(train, test)
    learned = choose_scenes(train.dataset, train_scenes, 'training')
    tested = choose_scenes(test.dataset, test_scenes, 'test')
    _check_amount(len(learned), max_patches)

    def shown(scenes: Sequence[int], what: str) -> Iterable[int]:
        return track(scenes, description=f'{what} scenes') if progress else scenes

    features = map(train.read, shown(learned, 'training'))
    patches = gather(features, limit=max_patches // len(learned))
    held_out = draw_tenths(learned)
    choices = _choose(readers, patches, held_out, len(classes))
    fitted = {name: fit(readers[name].make(value), patches) for name, (value, _) in choices.items()}
    counts = _test(fitted, map(test.read, shown(tested, 'test')), len(classes))
    found = {
        name: dict(chosen={readers[name].option: value}, tried=tried, **scores(counts[name]))
        for name, (value, tried) in choices.items()
    }
    origin = weights if isinstance(weights, str) else None
    return dict(
        config=cfg.filename,
        data=data_cfg.filename,
        checkpoint=origin,
        digest=file_digest(Path(origin)) if origin else None,
        random_seed=seed if weights is None else None,
        backbone=type(backbone).__name__,
        level=level,
        grid=patches.grid,
        channels=patches.features.shape[1],
        classes=classes,
        train=dict(scenes=learned, held_out=held_out, patches=len(patches)),
        test=dict(scenes=len(tested), patches=int(counts['knn'].sum())),
        **found,
        notes=list(_notes(cfg, data_cfg, patches)),
        environment=environment(),
    )


def draw_tenths(scenes: Sequence[int]) -> list[list[int]]:
    """The scenes that are held out to choose on: of the same scenes always the same.

    Args:
        scenes: All training scenes.

    Returns:
        As many tenths of them as make `HELD_OUT` scenes, at most all ten; each sorted.
    """
    drawn = random.Random(0).sample(sorted(scenes), len(scenes))
    tenths = [sorted(drawn[start::10]) for start in range(10)]
    return tenths[: math.ceil(HELD_OUT * 10 / len(scenes))]


def _common_classes(train: PatchReader, test: PatchReader) -> list[str]:
    """The names of the classes, which both data sets must agree about."""
    ours, theirs = (list(reader.dataset.metainfo.get('classes') or ()) for reader in (train, test))
    if not ours or ours != theirs:
        raise UserError(
            f'the training data have the classes {ours}, and the test data {theirs}; name the same '
            'in metainfo.classes of both datasets'
        )
    return ours


def _check_amount(scenes: int, max_patches: int) -> None:
    """Refuse what a tenth cannot be held out of, and less than a patch of every scene."""
    if scenes < MIN_SCENES:
        raise UserError(
            f'training scenes are {scenes}, and a tenth is held out; use {MIN_SCENES} or more'
        )
    if max_patches < scenes:
        raise UserError(
            f'max_patches {max_patches} is less than one of each of {scenes} training scenes; '
            'raise it, or use fewer scenes'
        )


def _choose(
    readers: dict[str, Reader], patches: Patches, tenths: Sequence[Sequence[int]], classes: int
) -> dict[str, tuple[float, list[dict[str, float]]]]:
    """What is chosen for every reader, and what was tried."""
    apart = [np.isin(patches.scenes, tenth) for tenth in tenths]
    folds = [(patches.select(~held), patches.select(held)) for held in apart]
    if any(len(np.unique(kept.labels)) < 2 for kept, _ in folds) or not any(map(np.any, apart)):
        raise UserError(
            f'the patches of {len(np.unique(patches.scenes))} training scenes are of one class, or '
            'nearly so, and a probe tells classes apart; use more scenes'
        )
    return {name: choose(reader, folds, classes) for name, reader in readers.items()}


def _test(
    fitted: dict[str, Pipeline], scenes: Iterable[Patches], classes: int
) -> dict[str, np.ndarray]:
    """Count over the test scenes, one by one: their features together may not fit into memory."""
    counts = {name: np.zeros((classes, classes), np.int64) for name in fitted}
    for patches in filter(len, scenes):
        for name, pipeline in fitted.items():
            counts[name] += count(pipeline, patches, classes)
    if not counts['knn'].any():
        raise UserError('no patch of the test scenes has a class; use scenes that are labeled')
    return counts


def _notes(cfg: Config, data_cfg: Config, patches: Patches) -> Iterator[str]:
    """What a reader of the numbers should know."""
    if len(patches) < patches.seen:
        yield f'{len(patches):,} of {patches.seen:,} training patches were used (max_patches)'
    if not normalized_alike(cfg, data_cfg):
        yield (
            f'images were normalized as {data_cfg.filename} says, and {cfg.filename} says it '
            'otherwise; weights of the latter see unfamiliar images'
        )
