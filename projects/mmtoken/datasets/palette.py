"""Colors of the classes in segmentation maps and pictures."""

from __future__ import annotations

import colorsys
from functools import cache

FIRST_COLORS = (
    (0, 0, 0),
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (0, 128, 128),
)
"""Colors of the background and the first ten classes, chosen by hand."""

TURN = 0.618034


@cache
def scene_palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    """Colors of the background and of any number of classes, each different from the others.

    Beyond the ten chosen by hand, hues advance by the golden section, which keeps any first n of
    them apart, and strong and pale, bright and dark colors take turns.

    Args:
        classes: Number of classes without the background, at most 255: maps are of uint8.

    Returns:
        tuple: 1 + classes colors (red, green, blue), 0 to 255.
    """
    colors = list(FIRST_COLORS[: 1 + classes])
    for index in range(classes - len(FIRST_COLORS) + 1):
        saturation, value = ((0.9, 0.95), (0.5, 0.9), (0.85, 0.6))[index % 3]
        color = colorsys.hsv_to_rgb(TURN * index % 1, saturation, value)
        colors.append(tuple(round(255 * channel) for channel in color))
    return tuple(colors)
