"""Handwritten digits on photographs of textures, with exact boxes and masks (our design).

A scene is a pure function of (options, task, split, index): it has a random stream of its own, so
any scene can be drawn alone, in any order, in any process.

Shape letters: S image size, h w size of one digit's patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmtoken.datasets.digit_sources import SPLITS, TEXTURES, digit_ids, digit_images, texture
from mmtoken.errors import UserError

TASKS = ('classification', 'detection')

PLACEMENTS = 100
PLACEMENTS_PER_SIZE = 20
SHRINK = 0.85
MIN_DIGIT_PIXELS = 12
INK = 0.5
COLOR_CANDIDATES = 24


@dataclass(frozen=True)
class Difficulty:
    """How far a scene departs from black digits on a white page.

    Args:
        rotation: Largest rotation to either side, degrees; small enough to tell 6 from 9.
        shear: Largest horizontal shear and largest change of the aspect ratio.
        ground: Range of the texture's mean color, RGB in [0, 1].
        ink: Range of a digit's color, RGB in [0, 1]; where it lies above `ground`, digits are
            always lighter, which a small ViT learns within minutes. Where the two ranges are the
            same, it saw chance after 300 iterations.
        contrast: Least distance between a digit's color and what it lies on, RGB in [0, 1].
        texture: Range of the texture's standard deviation, RGB in [0, 1].
        opacity: Least share of a digit's color in its pixels; the rest shines through.
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


DIFFICULTIES = {
    'easy': Difficulty(8, 0.05, (0.05, 0.3), (0.7, 1.0), 0.65, (0.02, 0.06), 1.0, 0.0),
    'medium': Difficulty(12, 0.1, (0.1, 0.4), (0.6, 1.0), 0.45, (0.04, 0.12), 0.9, 0.02),
    'hard': Difficulty(25, 0.25, (0.1, 0.9), (0.0, 1.0), 0.3, (0.08, 0.2), 0.7, 0.06),
}


@dataclass(frozen=True)
class SceneOptions:
    """What all scenes of a data set have in common.

    Args:
        size: Height and width of the image in pixels.
        min_digits: Fewest digits in a scene.
        max_digits: Most digits in a scene; the more, the smaller each is drawn.
        occlusion: Largest share of a digit that digits drawn later may hide, in [0, 1).
        difficulty: Key of `DIFFICULTIES`.
        seed: Seed of every scene's random stream.

    Raises:
        UserError: If a value, or a combination of them, makes no scene.
    """

    size: int = 128
    min_digits: int = 1
    max_digits: int = 6
    occlusion: float = 0.1
    difficulty: str = 'easy'
    seed: int = 0

    def __post_init__(self) -> None:
        if self.difficulty not in DIFFICULTIES:
            raise UserError(
                f'difficulty {self.difficulty!r} is unknown; choose ' + ', '.join(DIFFICULTIES)
            )
        if not 1 <= self.min_digits <= self.max_digits:
            raise UserError(
                f'min-digits {self.min_digits} and max-digits {self.max_digits} do not fit; '
                'choose 1 <= min-digits <= max-digits'
            )
        if not 0 <= self.occlusion < 1:
            raise UserError(f'occlusion {self.occlusion} is no share; choose 0 <= occlusion < 1')
        if self.seed < 0:
            raise UserError(f'seed {self.seed} is negative; choose 0 or more')
        smallest = self.digit_pixels()[0]
        if smallest < MIN_DIGIT_PIXELS:
            shortage = MIN_DIGIT_PIXELS / smallest
            enough = int(np.ceil(self.size * shortage))
            # The inverse of digit_pixels.
            most = int((self.max_digits + 0.5) / shortage**2 - 0.5)
            fewer = f', or max-digits {most}' if most >= self.min_digits else ''
            raise UserError(
                f'image size {self.size} leaves digits of {smallest:.0f} pixels '
                f'when a scene holds up to {self.max_digits}; '
                f'choose a size of {enough} or more{fewer}'
            )

    def digit_pixels(self) -> tuple[float, float]:
        """Range of a digit's height in pixels, such that `max_digits` of them fit."""
        scale = self.size / np.sqrt(self.max_digits + 0.5)
        return 0.55 * scale, 1.05 * scale


@dataclass(frozen=True)
class Instance:
    """One digit of a scene.

    Args:
        label: Class, 0..9.
        digit_id: Which handwritten digit it is, a position in `digit_images`.
        mask: (S, S) bool, its visible pixels.
    """

    label: int
    digit_id: int
    mask: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Tight box of the visible pixels: left, top, width, height."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        columns = np.flatnonzero(self.mask.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


@dataclass(frozen=True)
class Scene:
    """An image and what is on it.

    Args:
        image: (S, S, 3) uint8 RGB.
        instances: Digits in the order they were drawn; masks do not overlap.
    """

    image: np.ndarray
    instances: tuple[Instance, ...]

    @property
    def semantic(self) -> np.ndarray:
        """(S, S) uint8 class map: 0 background, 1 + label a digit."""
        classes = np.zeros(self.image.shape[:2], np.uint8)
        for instance in self.instances:
            classes[instance.mask] = 1 + instance.label
        return classes


def render_scene(
    options: SceneOptions, task: str, split: str, index: int, label: int | None = None
) -> Scene:
    """Draw one scene.

    Args:
        options: What all scenes have in common.
        task: 'classification' or 'detection': two independent streams of scenes.
        split: 'train' or 'val'.
        index: Which scene, 0 or more.
        label: Class of every digit; None draws the classes at random.

    Returns:
        Scene: The same for the same arguments, always.

    Raises:
        UserError: If `min_digits` digits find no room.
    """
    key = (TASKS.index(task), SPLITS.index(split), index)
    rng = np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=key))
    difficulty = DIFFICULTIES[options.difficulty]
    image = _draw_background(rng, split, options.size, difficulty)
    drawn: list[Instance] = []
    whole_areas: list[int] = []
    for _ in range(rng.integers(options.min_digits, options.max_digits, endpoint=True)):
        digit = int(rng.integers(10)) if label is None else label
        digit_id = int(rng.choice(digit_ids(split, digit)))
        ink = _draw_digit(rng, digit_id, options, difficulty)
        placed = _place(rng, ink, drawn, whole_areas, options)
        if placed is None:
            break
        covered = placed >= 0.5
        drawn = [Instance(d.label, d.digit_id, d.mask & ~covered) for d in drawn]
        drawn.append(Instance(digit, digit_id, covered))
        whole_areas.append(int(covered.sum()))
        _paint(rng, image, placed, difficulty)
    if len(drawn) < options.min_digits:
        raise UserError(
            f'scene {index} of {split} has room for only {len(drawn)} digits, '
            f'min-digits is {options.min_digits}; '
            'choose less, or more max-digits (smaller digits) or occlusion'
        )
    strength = np.float32(rng.uniform(0, difficulty.noise))
    image += strength * rng.standard_normal(image.shape, np.float32)
    return Scene((image.clip(0, 1) * 255).round().astype(np.uint8), tuple(drawn))


def _draw_background(
    rng: np.random.Generator, split: str, size: int, difficulty: Difficulty
) -> np.ndarray:
    """A crop of a texture photograph, turned, mirrored and tinted: (S, S, 3) in [0, 1]."""
    source = texture(TEXTURES[rng.integers(len(TEXTURES))], split)
    side = min(round(size * rng.uniform(0.75, 1.25)), *source.shape)
    top, left = (rng.integers(length - side, endpoint=True) for length in source.shape)
    crop = np.rot90(source[top : top + side, left : left + side], rng.integers(4))
    crop = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    relief = (crop - crop.mean()) / (crop.std() + 1e-6) * rng.uniform(*difficulty.texture)
    base = rng.uniform(*difficulty.ground, size=3)
    tint = rng.uniform(0.5, 1.5, size=3)
    return (base + relief[..., None] * tint).clip(0, 1).astype(np.float32)


def _draw_digit(
    rng: np.random.Generator, digit_id: int, options: SceneOptions, difficulty: Difficulty
) -> np.ndarray:
    """One digit, enlarged smoothly, turned and sheared: (h, w) coverage in [0, 1], cut tightly."""
    small = np.pad(digit_images()[0][digit_id], 2)
    height = rng.uniform(*options.digit_pixels())
    angle = np.deg2rad(rng.uniform(-difficulty.rotation, difficulty.rotation))
    shear, stretch = rng.uniform(-difficulty.shear, difficulty.shear, size=2)
    smooth = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 2)
    # From the enlarged digit (12 * 8 pixels for 12 source pixels) to the scene.
    zoom = height / (8 * 8)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * rotation @ np.array([[1 + stretch, shear], [0, 1]])
    side = int(np.ceil(2 * height))
    center = np.array([(side - 1) / 2, (side - 1) / 2])
    offset = center - linear @ np.full(2, (smooth.shape[0] - 1) / 2)
    warped = cv2.warpAffine(smooth, np.c_[linear, offset], (side, side), flags=cv2.INTER_LINEAR)
    # The stroke's edge is about one source pixel wide; sharpen it to one pixel of the scene.
    coverage = ((warped - INK) * height / 8 + 0.5).clip(0, 1)
    rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
    return coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(
    rng: np.random.Generator,
    ink: np.ndarray,
    drawn: list[Instance],
    whole_areas: list[int],
    options: SceneOptions,
) -> np.ndarray | None:
    """Coverage (S, S) of a digit at a place, and size, where it hides too much of no other."""
    for attempt in range(PLACEMENTS):
        if attempt % PLACEMENTS_PER_SIZE == 0:
            shrink = SHRINK ** (attempt // PLACEMENTS_PER_SIZE)
            scale = min(shrink, options.size / max(ink.shape))
            if scale * max(ink.shape) < MIN_DIGIT_PIXELS:
                return None
            fitted = ink
            if scale < 1:
                fitted = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            height, width = fitted.shape
        top = rng.integers(options.size - height, endpoint=True)
        left = rng.integers(options.size - width, endpoint=True)
        coverage = np.zeros((options.size, options.size), np.float32)
        coverage[top : top + height, left : left + width] = fitted
        covered = coverage >= 0.5
        if all(
            (d.mask & ~covered).sum() >= (1 - options.occlusion) * area
            for d, area in zip(drawn, whole_areas, strict=True)
        ):
            return coverage
    return None


def _paint(
    rng: np.random.Generator, image: np.ndarray, coverage: np.ndarray, difficulty: Difficulty
) -> None:
    """Paint a digit onto the image in a color that stands out from everything around it."""
    near = cv2.dilate(coverage, np.ones((5, 5))) > 0
    around = image[near]  # (n, 3)
    candidates = rng.uniform(*difficulty.ink, size=(COLOR_CANDIDATES, 3)).astype(np.float32)
    # |a - c|^2 by parts: one small product instead of an (n, candidates, 3) array.
    squares = (candidates**2).sum(axis=1)[:, None] + (around**2).sum(axis=1)
    squares -= 2 * candidates @ around.T
    # The tenth percentile, so that half the digit on another digit cannot hide behind the mean.
    tenth = squares.shape[1] // 10
    contrasts = np.partition(squares, tenth, axis=1)[:, tenth]
    good = np.flatnonzero(contrasts >= difficulty.contrast**2)
    color = candidates[good[0] if len(good) else contrasts.argmax()]
    alpha = (coverage * rng.uniform(difficulty.opacity, 1))[..., None]
    image *= 1 - alpha
    image += alpha * color
