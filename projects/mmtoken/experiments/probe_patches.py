"""Patches of scenes: the features of each, and its class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from mmengine.dataset import BaseDataset
from torch import nn

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import cell_size, feature_map

# Of the library's own datasets; another class may do without.
IGNORED = 255


@dataclass(frozen=True)
class Patches:
    """The patches of some scenes.

    Args:
        features: (n, C) float32.
        labels: (n,) int64, the class of each.
        scenes: (n,) int64, the scene of each.
        seen: How many there were before some were left out for speed.
        grid: (H, W) of the last scene.
    """

    features: np.ndarray
    labels: np.ndarray
    scenes: np.ndarray
    seen: int
    grid: tuple[int, int]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, kept: np.ndarray) -> Patches:
        """Some of them, by their positions or by (n,) bool."""
        parts = (self.features[kept], self.labels[kept], self.scenes[kept])
        return Patches(*parts, seen=self.seen, grid=self.grid)


@dataclass(frozen=True)
class PatchReader:
    """Turns the scenes of a data set into patches.

    Args:
        dataset: The data set, through the test pipeline.
        preprocess: The segmentor's data preprocessor.
        backbone: The frozen backbone.
        level: Which of its feature maps.
    """

    dataset: BaseDataset
    preprocess: nn.Module
    backbone: nn.Module
    level: int = -1

    def read(self, scene: int) -> Patches:
        """The patches of one scene that have a class.

        Scenes go through the backbone one by one, since they may differ in size.

        Args:
            scene: Its position in the data set.

        Raises:
            UserError: If the scene has no class map, or the backbone no feature map of numbers.
        """
        packed = self.dataset[scene]
        sample = packed['data_samples']
        if 'gt_sem_seg' not in sample:
            raise UserError(
                "the test pipeline loads no class maps; add dict(type='LoadAnnotations') before "
                'its PackSegInputs'
            )
        batch = {'inputs': [packed['inputs']], 'data_samples': [sample]}
        images = self.preprocess(batch, training=False)['inputs']
        maps = feature_map(self.backbone, images, self.level)
        grid = tuple(maps.shape[2:])
        labels = patch_labels(
            sample.gt_sem_seg.data.squeeze(0).numpy(),
            tuple(packed['inputs'].shape[1:]),
            grid,
            cell_size(self.backbone, tuple(images.shape[2:]), grid, self.level),
            len(self.dataset.metainfo['classes']),
            getattr(self.dataset, 'ignore_index', IGNORED),
        )
        # (1, C, H, W) → (H·W, C)
        features = maps[0].flatten(1).T.float().cpu().numpy()
        if not np.isfinite(features).all():
            raise UserError(
                'the backbone gives features that are not finite; use weights of a training that '
                'has not diverged'
            )
        scenes = np.full(len(labels), scene)
        every = Patches(features, labels, scenes, seen=int((labels >= 0).sum()), grid=grid)
        return every.select(labels >= 0)


def patch_labels(
    label_map: np.ndarray,
    image: tuple[int, int],
    grid: tuple[int, int],
    cell: tuple[float, float],
    classes: int,
    ignored: int = IGNORED,
) -> np.ndarray:
    """The majority class of every patch's pixels (our design).

    The label map may have another size than the image that the backbone saw: a label's pixel counts
    where its center lies. Ignored pixels do not count; of equally frequent classes the first wins.

    Args:
        label_map: (height, width) of the class map, classes from 0.
        image: Height and width of the resized image, without what pads it.
        grid: (H, W).
        cell: Height and width of a patch in the image's pixels.
        classes: K.
        ignored: The label of pixels without a class.

    Returns:
        (H·W,) int64, row by row; -1 where a patch has no pixel with a class.

    Raises:
        UserError: If a pixel has a label that is no class.
    """
    valid = label_map != ignored
    if valid.any() and not 0 <= label_map[valid].min() <= label_map[valid].max() < classes:
        wrong = sorted(set(np.unique(label_map[valid]).tolist()) - set(range(classes)))
        raise UserError(
            f'the class map has the label {wrong[0]}, and the data set {classes} classes; name '
            'them all in metainfo.classes, or see that reduce_zero_label fits the maps'
        )
    rows, columns = (
        np.minimum((np.arange(labels) + 0.5) * pixels / labels // side, count - 1).astype(np.int64)
        for labels, pixels, side, count in zip(label_map.shape, image, cell, grid, strict=True)
    )
    # (height, width) → the patch of each pixel → (H·W, K) pixels of each class
    patch = rows[:, None] * grid[1] + columns
    index = patch[valid] * classes + label_map[valid]
    counts = np.bincount(index, minlength=grid[0] * grid[1] * classes).reshape(-1, classes)
    return np.where(counts.any(1), counts.argmax(1), -1)


def gather(scenes: Iterable[Patches], limit: int | None = None) -> Patches:
    """The patches of many scenes in one.

    Args:
        scenes: Those of each.
        limit: The most that are kept of each; which, a fixed seed draws. None keeps all.
    """
    generator = np.random.default_rng(0)
    kept, seen = [], 0
    for patches in scenes:
        seen += patches.seen
        if limit is not None and len(patches) > limit:
            chosen = generator.choice(len(patches), limit, replace=False)
            patches = patches.select(np.sort(chosen))
        kept.append(patches)
    parts = (
        np.concatenate([getattr(p, n) for p in kept]) for n in ('features', 'labels', 'scenes')
    )
    return Patches(*parts, seen=seen, grid=kept[-1].grid)
