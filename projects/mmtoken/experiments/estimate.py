"""A mean of repeated measurements with its 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """Mean of repeated measurements.

    Args:
        mean: Arithmetic mean.
        std: Sample standard deviation (n - 1); nan for one measurement.
        margin: Half width of the 95 % interval of the mean from Student's t with n - 1 degrees of
            freedom; nan for one measurement.
        count: Number of measurements, n.
    """

    mean: float
    std: float
    margin: float
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """Estimate the mean behind some measurements.

    Args:
        values: At least one measurement.

    Returns:
        Their mean, standard deviation and 95 % margin.
    """
    count, mean = len(values), float(np.mean(values))
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    std = float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf(0.975, count - 1))
    return Estimate(mean, std, quantile * std / math.sqrt(count), count)
