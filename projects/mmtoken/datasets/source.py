"""What scenes are made of: classes of small gray pictures, and how often each class is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

SPLITS = ('train', 'val')

# Frequencies are whole numbers of this unit, so that taking turns has no rounding to depend on.
UNIT = 1_000_000


class Source(ABC):
    """Where a data set's objects come from: digits, or glyphs.

    Attributes:
        noun: What one object is called in files, options and messages.
        classes: Names of the classes in order; they are names of folders, too.
        imbalance: How many times rarer than the first class the last one is in training.
    """

    noun: ClassVar[str]
    classes: tuple[str, ...]
    imbalance: float = 1.0

    @abstractmethod
    def load(self) -> None:
        """Load what all objects need, once and before processes are forked.

        Raises:
            UserError: If a package is missing.
        """

    @abstractmethod
    def pick(self, rng: np.random.Generator, split: str, label: int) -> int:
        """Choose an object of a class.

        Args:
            rng: The scene's random stream.
            split: 'train' or 'val', which share no object.
            label: Position in `classes`.

        Returns:
            int: The object's id.
        """

    @abstractmethod
    def image(self, source_id: int) -> np.ndarray:
        """An object: (8, 8) float32 coverage in [0, 1], a pure function of its id."""

    def weights(self, split: str) -> np.ndarray:
        """How often each class is drawn, in proportion.

        Training follows the exponential long tail of CIFAR-100-LT (LDAM, arXiv 1906.07413):
        each class is rarer than the one before by the same factor. Validation is balanced.

        Args:
            split: 'train' or 'val'.

        Returns:
            np.ndarray: One int64 a class, all the same where the classes are balanced.
        """
        rarer = np.linspace(0, 1, len(self.classes)) if split == 'train' else 0.0
        shares = np.full(len(self.classes), float(self.imbalance)) ** -rarer
        return np.rint(UNIT * shares).astype(np.int64)

    def draw_label(self, rng: np.random.Generator, split: str) -> int:
        """Choose a class at random."""
        if split != 'train' or self.imbalance == 1:
            return int(rng.integers(len(self.classes)))
        weights = self.weights(split)
        return int(rng.choice(len(weights), p=weights / weights.sum()))

    def take_turns(self, split: str, count: int) -> list[int]:
        """Classes of the classification images: any first n of them have the frequencies asked for.

        Every class gains its weight each turn, the richest one is taken and pays for all (smooth
        weighted round-robin, as nginx does it). Balanced classes follow each other in order.

        Args:
            split: 'train' or 'val'.
            count: Number of images.

        Returns:
            list[int]: One label an image.
        """
        weights = self.weights(split)
        credit, total = np.zeros_like(weights), weights.sum()
        labels = []
        for _ in range(count):
            credit += weights
            label = int(credit.argmax())
            credit[label] -= total
            labels.append(label)
        return labels
