"""What the tables and the picture of a study read from its ``results.json``."""

from collections.abc import Iterator, Sequence
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


def paired_difference(
    runs: Sequence[dict[str, Any]], arm: str, base: str, x: float | str, key: str
) -> Estimate | None:
    """Difference of two arms over the seeds that both have.

    Pairing by seed takes out what the seeds' draws of data have in common. It takes for granted
    that both went on from the same weights where both went on from one file; seeds of which they
    did not are left out.

    Args:
        runs: Entries of ``results.json``.
        arm: Name of the arm.
        base: Name of the arm that it is compared with.
        x: Value on the x axis.
        key: Name of the metric.

    Returns:
        The mean difference, or None where no pair is left.
    """
    found = [
        a['metrics'][key] - b['metrics'][key]
        for a, b in _pairs(runs, arm, base, x)
        if _same_start(a, b)
    ]
    return estimate(found) if found else None


def unlike_pairs(report: dict[str, Any]) -> int:
    """How many pairs no difference is taken of, since their runs started from other weights.

    Args:
        report: The content of ``results.json``.

    Returns:
        Their number, over all arms and x.
    """
    return sum(
        not _same_start(a, b)
        for x in report['x']['values']
        for arm in report['arms']
        for a, b in _pairs(report['runs'], arm, base_of(report, arm), x)
    )


def base_of(report: dict[str, Any], arm: str) -> str:
    """What an arm is compared with: the control, where the study names none."""
    return report.get('against', {}).get(arm, report['control'])


def _pairs(
    runs: Sequence[dict[str, Any]], arm: str, base: str, x: float | str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The entries of the same seed."""
    own, other = (
        {r['seed']: r for r in runs if r['arm'] == n and r['x'] == x} for n in (arm, base)
    )
    for seed in sorted(own.keys() & other.keys()):
        yield own[seed], other[seed]


def _same_start(run: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a file that both started from was the same then."""
    own, others = run.get('inputs', {}), other.get('inputs', {})
    return all(own[file] == others[file] for file in own.keys() & others.keys())


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
