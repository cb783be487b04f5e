"""Label maps of noise, for configs that train with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmtoken.datasets import LabelStoreWriter
from mmtoken.datasets.label_store import Manifest

GRID, TOP_K = (4, 4), 2


def write_label_store(
    folder: Path, names: Sequence[str], classes: int, kind: str = 'logit'
) -> None:
    """Write a finished store.

    Args:
        folder: Its folder.
        names: The images'.
        classes: How many classes it is of.
        kind: 'logit' or 'share'.
    """
    manifest = Manifest(
        kind=kind, classes=classes, grid=GRID, top_k=TOP_K, source=dict(weights='noise'),
        images='noise', count=len(names), command='python noise.py',
    )  # fmt: skip
    rng = np.random.default_rng(0)
    values = rng.normal(size=manifest.shape())
    if kind == 'share':
        values = np.full_like(values, 1 / TOP_K)
    writer = LabelStoreWriter(folder, manifest, sorted(names))
    writer.write(
        range(len(names)), values.astype(np.float16), rng.integers(0, classes, size=values.shape)
    )


def write_stores_of(config: Config, folder: Path) -> None:
    """Write the store that a config's training pipeline loads from, in a folder.

    Args:
        config: Of a classifier.
        folder: Where its relative paths begin.
    """
    areas = config.get('model', {}).get('type') == 'CalibratedClassifier'
    for step in config.train_dataloader.dataset.pipeline:
        if step['type'] == 'LoadTokenLabels' and not (folder / step['store']).exists():
            images = folder / step['images']
            found = [path.relative_to(images).as_posix() for path in images.rglob('*.*')]
            write_label_store(
                folder / step['store'],
                found or ['none.png'],
                step['num_classes'],
                'share' if areas else 'logit',
            )
