"""The digits of digit scenes, split so that no handwritten digit both trains and validates.

They ship with scikit-learn, so nothing is downloaded: 1,797 handwritten digits of 8x8 pixels (UCI
"Optical Recognition of Handwritten Digits").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mmtoken.datasets.source import Source
from mmtoken.errors import UserError

TRAIN_DIGITS = 0.75


@cache
def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """All digits and their labels, in scikit-learn's order.

    Returns:
        tuple: Images (1797, 8, 8) float32 in [0, 1], labels (1797,) int64 in 0..9.

    Raises:
        UserError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            f'digit scenes need scikit-learn ({error}); install it with `pip install scikit-learn`'
        ) from error
    data = load_digits()
    return (data.images / 16).astype(np.float32), data.target.astype(np.int64)


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


@dataclass(frozen=True)
class Digits(Source):
    """The ten digits; an id is a position in `digit_images`."""

    noun = 'digit'
    classes = tuple('0123456789')

    def load(self) -> None:
        digit_images()

    def pick(self, rng: np.random.Generator, split: str, label: int) -> int:
        return int(rng.choice(digit_ids(split, label)))

    def image(self, source_id: int) -> np.ndarray:
        return digit_images()[0][source_id]
