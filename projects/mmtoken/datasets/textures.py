"""The photographs that scenes are drawn on, split so that training and validation share no pixel.

Three textures of scikit-image, which ships them, so that nothing is downloaded.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mmtoken.errors import UserError

TEXTURES = ('grass', 'gravel', 'brick')

TRAIN_COLUMNS = 0.5625
GAP_COLUMNS = 0.0625


@cache
def _load_texture(name: str) -> np.ndarray:
    try:
        from skimage import data
    except ImportError as error:
        raise UserError(
            f'the textures of scenes need scikit-image ({error}); '
            'install it with `pip install scikit-image`'
        ) from error
    return getattr(data, name)().astype(np.float32) / 255


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
