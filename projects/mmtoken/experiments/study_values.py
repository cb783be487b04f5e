"""What the tables and the picture of a study read from its ``results.json``."""

from collections.abc import Sequence
from typing import Any

from mmtoken.experiments.estimate import Estimate, estimate


def select(runs: Sequence[dict[str, Any]], arm: str, x: float | str, key: str) -> dict[int, float]:
    """One arm's values of a metric at one x.

    Args:
        runs: Entries of ``results.json``.
        arm: Name of the arm.
        x: Value on the x axis.
        key: Name of the metric.

    Returns:
        The value of each seed.
    """
    return {r['seed']: r['metrics'][key] for r in runs if r['arm'] == arm and r['x'] == x}


def paired_difference(arm: dict[int, float], control: dict[int, float]) -> Estimate | None:
    """Difference of two arms over the seeds that both have.

    Pairing by seed takes out what the seeds' draws of data have in common.

    Args:
        arm: Value of each seed.
        control: The same of the control arm.

    Returns:
        The mean difference, or None where no seed is common.
    """
    seeds = sorted(arm.keys() & control.keys())
    return estimate([arm[seed] - control[seed] for seed in seeds]) if seeds else None


def difference_of(report: dict[str, Any], arm: str, x: float | str, key: str) -> Estimate | None:
    """How far an arm is from that which it is compared with.

    Args:
        report: The content of ``results.json``.
        arm: Name of the arm.
        x: Value on the x axis.
        key: Name of the metric.

    Returns:
        The paired difference without `unlike_seeds`, or None where no pair is left.
    """
    unlike = unlike_seeds(report, arm, x)
    own, base = (select(report['runs'], name, x, key) for name in (arm, base_of(report, arm)))
    return paired_difference({seed: own[seed] for seed in own.keys() - unlike}, base)


def unlike_seeds(report: dict[str, Any], arm: str, x: float | str) -> set[int]:
    """Seeds that are no pair: both runs went on from one file, which held other weights.

    Args:
        report: The content of ``results.json``.
        arm: Name of the arm.
        x: Value on the x axis.

    Returns:
        Those of the arm and of that which it is compared with.
    """
    own, base = (
        {r['seed']: r.get('inputs', {}) for r in report['runs'] if r['arm'] == name and r['x'] == x}
        for name in (arm, base_of(report, arm))
    )
    return {
        seed
        for seed in own.keys() & base.keys()
        if any(own[seed][file] != base[seed][file] for file in own[seed].keys() & base[seed].keys())
    }


def base_of(report: dict[str, Any], arm: str) -> str:
    """What an arm is compared with: the control, where the study names none."""
    return report.get('against', {}).get(arm, report['control'])


def main_metrics(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics with a table of their own and a panel of the picture.

    Args:
        report: The content of ``results.json``.

    Returns:
        Those that the study does not leave to the table of all metrics.
    """
    return [metric for metric in report['metrics'] if metric.get('report', 'table') == 'table']


def labels(report: dict[str, Any]) -> list[str]:
    """How the values of x are written.

    Args:
        report: The content of ``results.json``.

    Returns:
        One text for each value.
    """
    axis = report['x']
    # The first reports had numbers only, and no labels.
    return axis.get('labels') or [f'{value:,}' for value in axis['values']]
