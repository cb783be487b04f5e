"""What an image's patches are trained to be, painted over the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmpretrain.structures import DataSample
from PIL import Image, ImageDraw

from mmtoken.datasets.label_maps import LabelMaps, patch_targets
from mmtoken.datasets.palette import scene_palette

SHOWN = 5
BACKGROUND = 'background'


def paint_labels(image: np.ndarray, sample: DataSample, classes: Sequence[str]) -> np.ndarray:
    """Paint each cell in the color of its largest class, as opaque as the class is certain.

    Cells lie where augmentation took them, so that a wrong axis is seen. The background, where maps
    have one, stays as it is. The classes of most cells are named at the bottom.

    Args:
        image: (height, width, 3) uint8 RGB.
        sample: Of the image, with its label map.
        classes: Names of the images' classes.

    Returns:
        A picture of the same size.
    """
    maps = LabelMaps(
        sample.token_label[None],
        sample.token_label_ids[None],
        sample.token_label_source[None],
        sample.token_label_kind,
    )
    names = list(classes)
    if sample.token_label_kind == 'share':
        names.append(BACKGROUND)
    # Maps may have classes that images have not.
    names += [str(k) for k in range(len(names), int(maps.ids.max()) + 1)]
    grid = tuple(sample.token_label.shape[-2:])
    _, targets = patch_targets(maps, grid, len(names))
    # (1, Hs·Ws, K′) → (Hs, Ws)
    certain, winner = (part.view(grid).numpy() for part in targets[0].max(dim=1))
    colors = np.array(scene_palette(len(names))[1:], np.float32)
    opacity = np.where(np.array(names)[winner] == BACKGROUND, 0, certain)
    painted = np.dstack([colors[winner], 255 * opacity]).round().astype(np.uint8)
    layer = Image.fromarray(painted).resize(image.shape[1::-1], Image.Resampling.NEAREST)
    picture = Image.alpha_composite(Image.fromarray(image).convert('RGBA'), layer).convert('RGB')
    _write_names(picture, names, colors, winner)
    return np.asarray(picture)


def _write_names(
    picture: Image.Image, names: Sequence[str], colors: np.ndarray, winner: np.ndarray
) -> None:
    """Name the classes that win most cells, each in its color, on black."""
    found, count = np.unique(winner, return_counts=True)
    order = [k for k in found[np.argsort(-count, kind='stable')] if names[k] != BACKGROUND][:SHOWN]
    draw = ImageDraw.Draw(picture)
    top = picture.height
    for k in reversed(order):
        left, upper, right, lower = draw.textbbox((4, 0), names[k], font_size=14)
        top -= lower - upper + 6
        draw.rectangle((0, top, right + 4, top + lower - upper + 6), fill=(0, 0, 0))
        draw.text((4, top + 3 - upper), names[k], tuple(colors[k].astype(int)), font_size=14)
