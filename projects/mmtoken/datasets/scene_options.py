"""What all scenes of a data set have in common: what is drawn, its size, number and difficulty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmtoken.datasets.source import Source
from mmtoken.errors import UserError

MIN_PIXELS = 12
"""Least height of an object; below it, the pictures' 8 pixels can no longer be told apart."""


@dataclass(frozen=True)
class Difficulty:
    """How far a scene departs from black digits on a white page.

    Args:
        rotation: Largest rotation to either side, degrees; small enough to tell 6 from 9.
        shear: Largest horizontal shear and largest change of the aspect ratio.
        ground: Range of the texture's mean color, RGB in [0, 1].
        ink: Range of an object's color, RGB in [0, 1]; where it lies above `ground`, objects are
            always lighter, which a small ViT learns within minutes. Where the two ranges are the
            same, it saw chance after 300 iterations.
        contrast: Least distance between an object's color and what it lies on, RGB in [0, 1].
        texture: Range of the texture's standard deviation, RGB in [0, 1].
        opacity: Least share of an object's color in its pixels; the rest shines through.
        noise: Largest standard deviation of the sensor noise, RGB in [0, 1].
    """

    rotation: float
    shear: float
    ground: tuple[float, float]
    ink: tuple[float, float]
    contrast: float
    texture: tuple[float, float]
    opacity: float
    noise: float


SHORTCUTS = ('none', 'ground', 'digit')
"""What of an image may tell its class without the object that it is of: the texture and color of
the ground, or a second, smaller object."""

DIFFICULTIES = {
    'easy': Difficulty(8, 0.05, (0.05, 0.3), (0.7, 1.0), 0.65, (0.02, 0.06), 1.0, 0.0),
    'medium': Difficulty(12, 0.1, (0.1, 0.4), (0.6, 1.0), 0.45, (0.04, 0.12), 0.9, 0.02),
    'demanding': Difficulty(18, 0.15, (0.1, 0.9), (0.0, 1.0), 0.55, (0.04, 0.12), 0.85, 0.03),
    'hard': Difficulty(25, 0.25, (0.1, 0.9), (0.0, 1.0), 0.3, (0.08, 0.2), 0.7, 0.06),
}


@dataclass(frozen=True)
class SceneOptions:
    """What all scenes of a data set have in common.

    Args:
        source: What is drawn.
        size: Height and width of the image in pixels.
        min_objects: Fewest objects in a scene.
        max_objects: Most objects in a scene; the more, the smaller each is drawn.
        occlusion: Largest share of an object that those drawn later may hide, in [0, 1).
        difficulty: Key of `DIFFICULTIES`.
        seed: Seed of every scene's random stream.
        shortcut: What of `SHORTCUTS` training images have that tells their class.
        shortcut_share: In how many of them it does; in the others, and in validation, what it shows
            is drawn at random.

    Raises:
        UserError: If a value, or a combination of them, makes no scene.
    """

    source: Source
    size: int = 128
    min_objects: int = 1
    max_objects: int = 6
    occlusion: float = 0.1
    difficulty: str = 'easy'
    seed: int = 0
    shortcut: str = 'none'
    shortcut_share: float = 0.95

    def __post_init__(self) -> None:
        if self.shortcut not in SHORTCUTS:
            raise UserError(
                f'shortcut {self.shortcut!r} is unknown; choose ' + ', '.join(SHORTCUTS)
            )
        if not 0 <= self.shortcut_share <= 1:
            raise UserError(
                f'shortcut-share {self.shortcut_share} is no share; choose one from 0 to 1'
            )
        if self.difficulty not in DIFFICULTIES:
            raise UserError(
                f'difficulty {self.difficulty!r} is unknown; choose ' + ', '.join(DIFFICULTIES)
            )
        many = f'{self.source.noun}s'
        if not 1 <= self.min_objects <= self.max_objects:
            raise UserError(
                f'min-{many} {self.min_objects} and max-{many} {self.max_objects} do not fit; '
                f'choose 1 <= min-{many} <= max-{many}'
            )
        if not 0 <= self.occlusion < 1:
            raise UserError(f'occlusion {self.occlusion} is no share; choose 0 <= occlusion < 1')
        if self.seed < 0:
            raise UserError(f'seed {self.seed} is negative; choose 0 or more')
        smallest = self.object_pixels()[0]
        if smallest < MIN_PIXELS:
            shortage = MIN_PIXELS / smallest
            enough = int(np.ceil(self.size * shortage))
            # The inverse of object_pixels.
            most = int((self.max_objects + 0.5) / shortage**2 - 0.5)
            fewer = f', or max-{many} {most}' if most >= self.min_objects else ''
            raise UserError(
                f'image size {self.size} leaves {many} of {smallest:.0f} pixels '
                f'when a scene holds up to {self.max_objects}; '
                f'choose a size of {enough} or more{fewer}'
            )

    def object_pixels(self) -> tuple[float, float]:
        """Range of an object's height in pixels, such that `max_objects` of them fit."""
        count = self.max_objects + (self.shortcut == 'digit')
        scale = self.size / np.sqrt(count + 0.5)
        return 0.55 * scale, 1.05 * scale
