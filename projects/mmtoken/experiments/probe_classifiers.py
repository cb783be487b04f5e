"""What reads the features of a probe, how its strength is chosen, and how well it does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmtoken.errors import UserError
from mmtoken.experiments.probe_patches import Patches

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

NEIGHBORS = (1, 5, 10, 20, 50)
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
# L-BFGS needs up to 700 on digit scenes; what it gains there is below 0.1 points of mean IoU.
MAX_ITERATIONS = 300


@dataclass(frozen=True)
class Reader:
    """One way of reading features.

    Args:
        title: For tables.
        option: What is chosen, as scikit-learn calls it.
        values: What is tried; of equals, the first is preferred.
        make: Builds the pipeline of a value.
    """

    title: str
    option: str
    values: Sequence[float]
    make: Callable[[float], Pipeline]


def make_readers() -> dict[str, Reader]:
    """The readers of a probe, standardized on what they are fitted to (the choices are ours).

    Neighbors are near by the cosine of standardized features, since a few tokens of a ViT may stand
    out by their length (Darcet et al. 2023, arXiv 2309.16588); votes are equal. Logistic regression
    leaves the classes' frequencies as they are: balanced weights name rare classes too often for
    mean IoU, and lost points of it on digit scenes.

    Raises:
        UserError: If scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer, StandardScaler
    except ImportError as error:
        raise UserError(
            f'probes need scikit-learn ({error}); install it with `pip install scikit-learn`'
        ) from error

    def neighbors(k: int) -> Pipeline:
        # Of features as wide as these, a tree finds neighbors no faster than all products.
        search = KNeighborsClassifier(k, algorithm='brute')
        return make_pipeline(StandardScaler(), Normalizer(), search)

    def regression(strength: float) -> Pipeline:
        model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
        return make_pipeline(StandardScaler(), model)

    return {
        'knn': Reader('k nearest neighbors', 'k', NEIGHBORS, neighbors),
        'logreg': Reader('logistic regression', 'C', STRENGTHS, regression),
    }


def fit(pipeline: Pipeline, patches: Patches) -> Pipeline:
    """Fit a pipeline to patches, without a word about iterations that end before they converge."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='lbfgs failed to converge')
        return pipeline.fit(patches.features, patches.labels)


def choose(
    reader: Reader, folds: Sequence[tuple[Patches, Patches]], classes: int
) -> tuple[float, list[dict[str, float]]]:
    """Choose a reader's value by the mean IoU of patches that it has not seen.

    Args:
        reader: The reader.
        folds: What every value is fitted to, and what is held out of it; counted together.
        classes: K.

    Returns:
        The value, and what was tried: values and their mean IoU in percent.
    """
    tried = []
    for value in reader.values:
        # There are not more neighbors than patches.
        if reader.option != 'k' or value <= min(len(kept) for kept, _ in folds):
            counts = sum(
                count(fit(reader.make(value), kept), held_out, classes) for kept, held_out in folds
            )
            tried.append({reader.option: value, 'mIoU': scores(counts)['mIoU']})
    return max(tried, key=lambda row: row['mIoU'])[reader.option], tried


def count(pipeline: Pipeline, patches: Patches, classes: int) -> np.ndarray:
    """What is taken for what.

    Args:
        pipeline: A fitted pipeline.
        patches: At least one.
        classes: K.

    Returns:
        (K, K) int64, patches by true class and predicted class.
    """
    pairs = patches.labels * classes + pipeline.predict(patches.features)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores(counts: np.ndarray) -> dict[str, Any]:
    """Mean IoU as mmsegmentation's `IoUMetric` computes it, with patches in the place of pixels.

    Intersections and unions are summed over all scenes; a class that is neither there nor predicted
    does not count.

    Args:
        counts: (K, K) patches by true class and predicted class.

    Returns:
        `mIoU`, the `accuracy` of patches and the `IoU` of every class, in percent; None for a class
        that does not count.
    """
    right = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - right
    iou = [100 * float(r / u) if u else None for r, u in zip(right, union, strict=True)]
    return {
        'mIoU': float(np.mean([value for value in iou if value is not None])),
        'accuracy': 100 * float(right.sum() / counts.sum()),
        'IoU': iou,
    }
