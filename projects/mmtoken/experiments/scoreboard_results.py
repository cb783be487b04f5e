"""What a scoreboard found, as its JSON holds it, and what table and picture read from it."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmtoken.experiments.estimate import Estimate
from mmtoken.experiments.scoreboard_costs import count_row
from mmtoken.experiments.scoreboard_stages import plan_chain
from mmtoken.experiments.study_values import main_metrics, paired_difference, select

# Stage and metric: one column of the table, one panel of the picture.
Measure = tuple[str, dict[str, Any]]
# An interval of two seeds rests on one difference between them.
MARKED_SEEDS = 3


def make_results(
    board: Config,
    studies: dict[str, Config],
    cells: list[dict[str, Any]],
    speed: dict[str, Any] | None,
    command: str,
) -> dict[str, Any]:
    """Put together what a scoreboard asked and found.

    Args:
        board: The board.
        studies: The studies of its stages.
        cells: The finished cells.
        speed: What was timed, if anything was.
        command: The command line that made them.

    Returns:
        The content of its JSON.
    """
    plans = plan_chain(board, studies, board.control, board.seeds[0], Path())
    stages = {}
    for run, plan in plans.items():
        (point,) = studies[run.x].x['values']
        stages[run.x] = {
            'iterations': point.iterations,
            'batch': plan.config.train_dataloader.batch_size,
            'scenes': point.get('scenes'),
            'config': board.stages[run.x].get('config'),
            'metrics': [dict(metric) for metric in studies[run.x].metrics],
        }
    rows = [{**row.to_dict(), **count_row(studies, row.name)} for row in board.rows]
    return {
        'title': board.title,
        'question': board.question,
        'command': command,
        'date': date.today().isoformat(),
        'control': board.control,
        'seeds': sorted({cell['seed'] for cell in cells}),
        'limits': list(board.limits),
        'stages': stages,
        'rows': rows,
        'speed': speed,
        'cells': cells,
    }


def measures(results: dict[str, Any]) -> Iterator[Measure]:
    """The columns of the table, in the order of the stages.

    Args:
        results: The content of the JSON.

    Yields:
        Stage and metric.
    """
    for name, stage in results['stages'].items():
        yield from ((name, metric) for metric in main_metrics(stage))


def values(results: dict[str, Any], row: str, measure: Measure) -> dict[int, float]:
    """What a row reached.

    Args:
        results: The content of the JSON.
        row: The row's name.
        measure: What is asked.

    Returns:
        The value of each seed.
    """
    stage, metric = measure
    return select(results['cells'], row, stage, metric['key'])


def difference(results: dict[str, Any], row: dict[str, Any], measure: Measure) -> Estimate | None:
    """How far a row is from the one that it is compared with, over the seeds that both have.

    Args:
        results: The content of the JSON.
        row: The row.
        measure: What is asked.

    Returns:
        The paired difference; None for a row that is compared with none, or without a common seed.
    """
    if row['against'] == row['name']:
        return None
    own, other = (values(results, name, measure) for name in (row['name'], row['against']))
    return paired_difference(own, other)


def stands(found: Estimate | None) -> bool:
    """Whether a difference's 95 % interval leaves zero out; never of too few seeds.

    Args:
        found: The difference.
    """
    return found is not None and found.count >= MARKED_SEEDS and abs(found.mean) > found.margin
