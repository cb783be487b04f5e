"""What digit scenes are made of, split so that training and validation share no pixel.

Both sources ship inside their libraries, so nothing is downloaded: the 1,797 handwritten 8x8 digits
of scikit-learn (UCI "Optical Recognition of Handwritten Digits") and three texture photographs of
scikit-image.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mmtoken.errors import UserError

SPLITS = ('train', 'val')
TEXTURES = ('grass', 'gravel', 'brick')

TRAIN_DIGITS = 0.75
TRAIN_COLUMNS = 0.5625
GAP_COLUMNS = 0.0625


@cache
def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            f'digit scenes need scikit-learn ({error}); install it with `pip install scikit-learn`'
        ) from error
    data = load_digits()
    return (data.images / 16).astype(np.float32), data.target.astype(np.int64)


@cache
def _load_texture(name: str) -> np.ndarray:
    try:
        from skimage import data
    except ImportError as error:
        raise UserError(
            f'digit scenes need scikit-image ({error}); install it with `pip install scikit-image`'
        ) from error
    return getattr(data, name)().astype(np.float32) / 255


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """All digits and their labels, in scikit-learn's order.

    Returns:
        tuple: Images (1797, 8, 8) float32 in [0, 1], labels (1797,) int64 in 0..9.

    Raises:
        UserError: If scikit-learn is not installed.
    """
    return _load_digits()


@cache
def digit_ids(split: str, label: int) -> np.ndarray:
    """Positions in `digit_images` of the digits of one class that one split may use.

    Of every class, the first three quarters train and the last quarter validates, whatever the
    seed, so that data sets made with different seeds do not leak into each other. Cutting once,
    rather than taking every fourth digit, separates neighbors, which are often of the same hand.

    Args:
        split: 'train' or 'val'.
        label: Class, 0..9.

    Returns:
        np.ndarray: Sorted int64 positions.
    """
    ids = np.flatnonzero(digit_images()[1] == label)
    cut = round(TRAIN_DIGITS * len(ids))
    return ids[:cut] if split == 'train' else ids[cut:]


def texture_columns(split: str, width: int) -> tuple[int, int]:
    """Columns of a texture photograph that one split may crop, as a half-open range.

    Training crops the left part, validation the right part; a gap keeps them from touching.

    Args:
        split: 'train' or 'val'.
        width: Width of the photograph in pixels.

    Returns:
        tuple[int, int]: First column and the column after the last.
    """
    cut = round(TRAIN_COLUMNS * width)
    return (0, cut) if split == 'train' else (cut + round(GAP_COLUMNS * width), width)


def texture(name: str, split: str) -> np.ndarray:
    """The part of a texture photograph that one split may use.

    Args:
        name: One of `TEXTURES`.
        split: 'train' or 'val'.

    Returns:
        np.ndarray: (height, columns) float32 in [0, 1].

    Raises:
        UserError: If scikit-image is not installed.
    """
    photo = _load_texture(name)
    start, stop = texture_columns(split, photo.shape[1])
    return photo[:, start:stop]
