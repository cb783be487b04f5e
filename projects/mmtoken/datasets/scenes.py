"""Digits or glyphs on photographs of textures, with exact boxes and masks (our design).

A scene is a pure function of (options, task, split, index): it has a random stream of its own, so
any scene can be drawn alone, in any order, in any process.

Shape letters: S image size, h w size of one object's patch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from mmtoken.datasets.scene_options import DIFFICULTIES, MIN_PIXELS, Difficulty, SceneOptions
from mmtoken.datasets.source import SPLITS
from mmtoken.datasets.textures import TEXTURES, texture
from mmtoken.errors import UserError

TASKS = ('classification', 'detection')

PLACEMENTS = 100
PLACEMENTS_PER_SIZE = 20
SHRINK = 0.85
INK = 0.5
COLOR_CANDIDATES = 24


@dataclass(frozen=True)
class Instance:
    """One digit or glyph of a scene.

    Args:
        label: Class, a position in the source's classes.
        source_id: Which of the source's objects it is.
        mask: (S, S) bool, its visible pixels.
    """

    label: int
    source_id: int
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
        instances: In the order they were drawn; masks do not overlap.
    """

    image: np.ndarray
    instances: tuple[Instance, ...]

    @property
    def semantic(self) -> np.ndarray:
        """(S, S) uint8 class map: 0 background, 1 + label an object."""
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
        label: Class of every object; None draws the classes at random.

    Returns:
        Scene: The same for the same arguments, always.

    Raises:
        UserError: If `min_objects` objects find no room.
    """
    key = (TASKS.index(task), SPLITS.index(split), index)
    rng = np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=key))
    source, difficulty = options.source, DIFFICULTIES[options.difficulty]
    # A stream of its own, so that what is drawn without shortcuts stays what it is.
    aside = np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=(*key, 1)))
    told = _told(aside, options, split, label)
    shown = told if options.shortcut == 'ground' else None
    image = _draw_background(rng, split, options.size, difficulty, shown)
    drawn: list[Instance] = []
    whole_areas: list[int] = []
    for _ in range(rng.integers(options.min_objects, options.max_objects, endpoint=True)):
        name = source.draw_label(rng, split) if label is None else label
        source_id = source.pick(rng, split, name)
        ink = _draw_object(rng, source.image(source_id), options, difficulty)
        placed = _place(rng, ink, drawn, whole_areas, options)
        if placed is None:
            break
        covered = placed >= 0.5
        drawn = [Instance(d.label, d.source_id, d.mask & ~covered) for d in drawn]
        drawn.append(Instance(name, source_id, covered))
        whole_areas.append(int(covered.sum()))
        _paint(rng, image, placed, difficulty)
    if len(drawn) < options.min_objects:
        many = f'{source.noun}s'
        raise UserError(
            f'scene {index} of {split} has room for only {len(drawn)} {many}, '
            f'min-{many} is {options.min_objects}; '
            f'choose less, or more max-{many} (smaller {many}) or occlusion'
        )
    if options.shortcut == 'digit' and told is not None:
        drawn += _draw_second(aside, image, drawn[0].mask, options, split, told)
    strength = np.float32(rng.uniform(0, difficulty.noise))
    image += strength * rng.standard_normal(image.shape, np.float32)
    return Scene((image.clip(0, 1) * 255).round().astype(np.uint8), tuple(drawn))


def _told(
    rng: np.random.Generator, options: SceneOptions, split: str, label: int | None
) -> int | None:
    """The class that an image's shortcut tells; None where there is no shortcut."""
    if options.shortcut == 'none' or label is None:
        return None
    chance = int(rng.integers(len(options.source.classes)))
    honest = split == 'train' and rng.random() < options.shortcut_share
    return label if honest else chance


def _draw_second(
    rng: np.random.Generator,
    image: np.ndarray,
    first: np.ndarray,
    options: SceneOptions,
    split: str,
    told: int,
) -> list[Instance]:
    """Paint a second object, half as high and beside the first one: of the class after the one that
    it tells.
    """
    source, difficulty = options.source, DIFFICULTIES[options.difficulty]
    label = (told + 1) % len(source.classes)
    source_id = source.pick(rng, split, label)
    ink = _draw_object(rng, source.image(source_id), options, difficulty)
    ink = cv2.resize(ink, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    apart = replace(options, occlusion=0.0)
    placed = _place(rng, ink, [Instance(0, 0, first)], [int(first.sum())], apart)
    if placed is None:
        return []
    _paint(rng, image, placed, difficulty)
    return [Instance(label, source_id, placed >= 0.5)]


def _draw_background(
    rng: np.random.Generator,
    split: str,
    size: int,
    difficulty: Difficulty,
    told: int | None = None,
) -> np.ndarray:
    """A crop of a texture photograph, turned, mirrored and tinted: (S, S, 3) in [0, 1]; of the
    texture and color of a class, if it tells one.
    """
    kind = rng.integers(len(TEXTURES))
    source = texture(TEXTURES[kind if told is None else told % len(TEXTURES)], split)
    side = min(round(size * rng.uniform(0.75, 1.25)), *source.shape)
    top, left = (rng.integers(length - side, endpoint=True) for length in source.shape)
    crop = np.rot90(source[top : top + side, left : left + side], rng.integers(4))
    crop = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    relief = (crop - crop.mean()) / (crop.std() + 1e-6) * rng.uniform(*difficulty.texture)
    base = rng.uniform(*difficulty.ground, size=3)
    if told is not None:
        # Red, green and blue as the bits of a number: eight colors of each texture.
        bits = told // len(TEXTURES) >> np.arange(3) & 1
        base = np.asarray(difficulty.ground)[bits]
    tint = rng.uniform(0.5, 1.5, size=3)
    return (base + relief[..., None] * tint).clip(0, 1).astype(np.float32)


def _draw_object(
    rng: np.random.Generator, picture: np.ndarray, options: SceneOptions, difficulty: Difficulty
) -> np.ndarray:
    """An (8, 8) picture, enlarged, turned and sheared: (h, w) coverage in [0, 1], cut tightly."""
    small = np.pad(picture, 2)
    height = rng.uniform(*options.object_pixels())
    angle = np.deg2rad(rng.uniform(-difficulty.rotation, difficulty.rotation))
    shear, stretch = rng.uniform(-difficulty.shear, difficulty.shear, size=2)
    smooth = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 2)
    # From the enlarged picture (12 * 8 pixels for 12 source pixels) to the scene.
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
    """Coverage (S, S) of an object at a place, and size, where it hides too much of no other."""
    for attempt in range(PLACEMENTS):
        if attempt % PLACEMENTS_PER_SIZE == 0:
            shrink = SHRINK ** (attempt // PLACEMENTS_PER_SIZE)
            scale = min(shrink, options.size / max(ink.shape))
            if scale * max(ink.shape) < MIN_PIXELS:
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
    """Paint an object onto the image in a color that stands out from everything around it."""
    near = cv2.dilate(coverage, np.ones((5, 5))) > 0
    around = image[near]  # (n, 3)
    candidates = rng.uniform(*difficulty.ink, size=(COLOR_CANDIDATES, 3)).astype(np.float32)
    # |a - c|^2 by parts: one small product instead of an (n, candidates, 3) array.
    squares = (candidates**2).sum(axis=1)[:, None] + (around**2).sum(axis=1)
    squares -= 2 * candidates @ around.T
    # The tenth percentile, so that half the object on another one cannot hide behind the mean.
    tenth = squares.shape[1] // 10
    contrasts = np.partition(squares, tenth, axis=1)[:, tenth]
    good = np.flatnonzero(contrasts >= difficulty.contrast**2)
    color = candidates[good[0] if len(good) else contrasts.argmax()]
    alpha = (coverage * rng.uniform(difficulty.opacity, 1))[..., None]
    image *= 1 - alpha
    image += alpha * color
