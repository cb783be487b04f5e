"""The glyphs of glyph scenes: characters of matplotlib's fonts, warped as if by hand (our design).

A glyph is a pure function of its id, which holds a class, a face and a warp. Training and
validation have faces of their own and warps of their own, so no glyph of one is in the other.

A character is drawn large, bent and slanted by its warp, retraced with the warp's pen, and reduced
to the 8x8 pixels of scikit-learn's digits, so that the same code draws both into scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.morphology import skeletonize

from mmtoken.datasets.glyph_classes import GLYPHS, glyph_names
from mmtoken.datasets.source import Source
from mmtoken.errors import UserError

TRAIN_FACES = (
    'DejaVuSans',
    'DejaVuSans-Bold',
    'DejaVuSans-BoldOblique',
    'DejaVuSerif',
    'DejaVuSerif-Italic',
    'DejaVuSerif-BoldItalic',
    'DejaVuSansMono-Bold',
    'DejaVuSansMono-Oblique',
    'DejaVuSansMono-BoldOblique',
)
VAL_FACES = ('DejaVuSans-Oblique', 'DejaVuSerif-Bold', 'DejaVuSansMono')
FACES = TRAIN_FACES + VAL_FACES
"""One face of each family, in each of them another style, is left to validation."""

WARPS = 1 << 16
TRAIN_WARPS = 3 * WARPS // 4

FEWEST_CLASSES = 10
MOST_RARE = 1000

SIDE = 8
CELL = 8
"""A glyph is warped at 8 times the resolution it is reduced to."""
CANVAS = 2 * SIDE * CELL
FONT_SIZE = 120
PEN = (1.0, 1.3)
"""Range of the strokes' width in pixels of the reduced glyph."""
NEAR = 0.75
"""Distance in pixels that keeps a bent line of one pixel in one piece."""
SLIM = 0.5
"""How much the strokes of bold faces lose, in pixels of the reduced glyph, lest they fill holes."""


@dataclass(frozen=True)
class Glyphs(Source):
    """The first of the glyphs.

    Args:
        count: Number of classes.
        imbalance: How many times rarer the rarest class is than the commonest, in training.

    Raises:
        UserError: If there are no such classes.
    """

    count: int = 96
    imbalance: float = 1.0

    noun = 'glyph'

    def __post_init__(self) -> None:
        if not FEWEST_CLASSES <= self.count <= len(GLYPHS):
            raise UserError(
                f'classes {self.count} cannot be drawn; choose {FEWEST_CLASSES} to {len(GLYPHS)}'
            )
        if not 1 <= self.imbalance <= MOST_RARE:
            raise UserError(
                f'imbalance {self.imbalance} is not how many times rarer a class can be; '
                f'choose 1 (balanced) to {MOST_RARE}'
            )

    @property
    def classes(self) -> tuple[str, ...]:
        return glyph_names(self.count)

    def load(self) -> None:
        for label in range(self.count):
            for face in range(len(FACES)):
                face_distances(label, face)

    def pick(self, rng: np.random.Generator, split: str, label: int) -> int:
        if split == 'train':
            return join_id(label, rng.integers(len(TRAIN_FACES)), rng.integers(TRAIN_WARPS))
        face = rng.integers(len(TRAIN_FACES), len(FACES))
        return join_id(label, face, rng.integers(TRAIN_WARPS, WARPS))

    def image(self, source_id: int) -> np.ndarray:
        return glyph_image(source_id)


def join_id(label: int, face: int, warp: int) -> int:
    """The id of a glyph.

    Args:
        label: Class, a position in `GLYPHS`.
        face: Position in `FACES`.
        warp: 0 to `WARPS` - 1; the same bends every class and face the same way.

    Returns:
        int: 0 or more.
    """
    return (int(label) * len(FACES) + int(face)) * WARPS + int(warp)


def split_id(glyph_id: int) -> tuple[int, int, int]:
    """Class, face and warp of a glyph: the inverse of `join_id`."""
    rest, warp = divmod(glyph_id, WARPS)
    return *divmod(rest, len(FACES)), warp


def glyph_image(glyph_id: int) -> np.ndarray:
    """A glyph as it is drawn into scenes.

    Args:
        glyph_id: What `join_id` returned.

    Returns:
        np.ndarray: (8, 8) float32 coverage in [0, 1].

    Raises:
        UserError: If matplotlib is not installed.
    """
    label, face, warp = split_id(glyph_id)
    rng = np.random.default_rng(warp)
    pen = rng.uniform(*PEN)
    ink = retrace(bend(face_distances(label, face), rng), pen)
    return fit(crop(ink), SIDE, SIDE).clip(0, 1)


@cache
def face_distances(label: int, face: int) -> np.ndarray:
    """How far a pixel is from a character, whose longer side fills half the canvas.

    Args:
        label: Class, a position in `GLYPHS`.
        face: Position in `FACES`.

    Returns:
        np.ndarray: (S, S, 2) float32: pixels to the middle of a stroke; pixels to the edge of one,
        negative inside.
    """
    font = _load_font(face)
    left, top, right, bottom = font.getbbox(GLYPHS[label])
    page = Image.new('L', (right - left, bottom - top))
    ImageDraw.Draw(page).text((-left, -top), GLYPHS[label], fill=255, font=font)
    ink = fit(crop(np.asarray(page, np.float32) / 255), SIDE * CELL, CANVAS) >= 0.5
    middle, outside, inside = (_distance(mask) for mask in (skeletonize(ink), ink, ~ink))
    return np.stack([middle, outside - inside], axis=-1)


def _distance(mask: np.ndarray) -> np.ndarray:
    """Pixels to the nearest one of a mask."""
    found = cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # OpenCV's last bit differs from call to call; squares of distances are whole numbers.
    return np.sqrt(np.rint(found * found))


@cache
def _load_font(face: int) -> ImageFont.FreeTypeFont:
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(
            f'glyph scenes need the fonts of matplotlib ({error}); '
            'install it with `pip install matplotlib`'
        ) from error
    path = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / f'{FACES[face]}.ttf'
    # The basic layout needs no library that only some systems have.
    return ImageFont.truetype(str(path), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)


def bend(distances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Slant, turn, stretch and bend a glyph.

    Args:
        distances: (S, S, 2), what `face_distances` returned.
        rng: The warp's random stream.

    Returns:
        np.ndarray: (S, S, 2).
    """
    angle, shear = np.deg2rad(rng.uniform(-7, 7)), rng.uniform(-0.2, 0.2)
    stretch = rng.uniform(-0.15, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1 + stretch, shear], [0, 1 - stretch]])
    # Elastic deformation: a few random shifts, smoothly joined (Simard et al., 2003).
    shifts = rng.normal(0, rng.uniform(0.1, 0.4) * CELL, (5, 5, 2)).astype(np.float32)
    field = cv2.resize(shifts, distances.shape[:2], interpolation=cv2.INTER_CUBIC)
    middle = (len(distances) - 1) / 2
    steps = np.arange(len(distances)) - middle
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)  # (S, S, 2): x, y
    source = (grid @ linear.T + middle + field).astype(np.float32)
    return cv2.remap(distances, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def retrace(distances: np.ndarray, pen: float) -> np.ndarray:
    """Draw a glyph with a pen: no stroke is thinner, and those of bold faces are slimmed a little.

    Args:
        distances: (S, S, 2), what `bend` returned.
        pen: Width in pixels of the reduced glyph.

    Returns:
        np.ndarray: (S, S) in [0, 1].
    """
    middle, edge = np.moveaxis(distances, -1, 0)
    # Reducing divides the longer side by this.
    cell = max(crop(edge < 0).shape) / SIDE
    # Measured again, since bending has changed distances: a stroke that is thinner than a pixel of
    # the reduced glyph would have holes.
    middle = _distance(middle < NEAR)
    return np.clip(0.5 + np.maximum(pen * cell / 2 - middle, -edge - SLIM * CELL / 2), 0, 1)


def crop(ink: np.ndarray) -> np.ndarray:
    """Cut off empty rows and columns."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def fit(ink: np.ndarray, longer: int, canvas: int) -> np.ndarray:
    """Scale a picture to a longer side and put it in the middle of a square.

    Args:
        ink: (h, w).
        longer: Its longer side, scaled.
        canvas: Side of the square.

    Returns:
        np.ndarray: (canvas, canvas).
    """
    zoom = longer / max(ink.shape)
    height, width = (max(1, round(zoom * side)) for side in ink.shape)
    # Area averaging is for reduction alone.
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    page = np.zeros((canvas, canvas), np.float32)
    top, left = (canvas - height) // 2, (canvas - width) // 2
    page[top : top + height, left : left + width] = cv2.resize(
        ink, (width, height), interpolation=way
    )
    return page
