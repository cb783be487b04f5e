"""The runs of a scoreboard as tasks, and the cells that they fill, here or on another machine."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmtoken.experiments.scoreboard_file import PROBE
from mmtoken.experiments.scoreboard_stages import WEIGHTS, plan_chain
from mmtoken.experiments.study_file import find_arm
from mmtoken.experiments.study_runs import Plan, Run, check_budget, check_plans
from mmtoken.experiments.study_tasks import (
    Place,
    answers,
    entry_key,
    make_entry,
    make_task,
    remove_checkpoints,
    run_key,
)
from mmtoken.tasks.launch import run_from_command_line
from mmtoken.tasks.task import Step, Task
from mmtoken.tasks.tool_steps import environment, script

# A probe takes about as long as so many iterations.
PROBE_ITERATIONS = 250
# A row and a seed: one classifier, and what starts from it.
Chain = tuple[str, int]


def finish_cells(
    board: Config,
    studies: dict[str, Config],
    seeds: Sequence[int],
    wanted: set[Chain],
    place: Place,
) -> list[dict[str, Any]]:
    """Run what is wanted and not finished, here or in the results.

    Args:
        board: The board.
        studies: The studies of its stages.
        seeds: Of the cells that are reported.
        wanted: Rows and seeds to run; of the others, the finished cells are read.
        place: Where they are and go.

    Returns:
        The cells, in the form of the runs of a study (the arm is the row, x the stage): seeds
        outermost, then rows, then stages.

    Raises:
        UserError: If two rows have unequal budgets.
    """
    chains = [(row.name, seed) for seed in seeds for row in board.rows]
    plans = {chain: plan_chain(board, studies, *chain, place.work_dir) for chain in chains}
    check_plans({run: plan for chain in plans.values() for run, plan in chain.items()})
    known = {entry_key(cell): cell for cell in committed_cells(place.results)}
    cells: dict[Run, dict[str, Any]] = {}
    tasks, runs = [], {}
    for chain, planned in plans.items():
        links = dict(zip(planned, make_chain(studies, planned, place), strict=True))
        runs |= {task.name: run for run, task in links.items()}
        for run, task in links.items():
            cell = _finished(studies[run.x], run, task, known.get(run_key(run)), place)
            if cell is not None:
                cells[run] = cell
        first, *others = links.values()
        missing = [task for task in others if runs[task.name] not in cells]
        if chain in wanted and (missing or runs[first.name] not in cells):
            # The first makes the weights of the others, if they are not there any more.
            tasks += [first, *missing]

    def settle(task: Task, result: dict[str, Any]) -> None:
        run = runs[task.name]
        cells[run] = make_entry(studies[run.x], run, result, place)
        remove_checkpoints(task)

    if taken := sum((run.arm, run.seed) in wanted for run in cells):
        print(f'{taken} cells are finished')
    if gone := known.keys() - {run_key(run) for run in cells}:
        print(
            f'{len(gone)} cells in {place.results} are of other configs or data than now, or of no '
            'row any more, and leave the board unless they are run again'
        )
    check_budget([*cells.values()])
    if tasks:
        run_from_command_line(tasks, place.workers, settle)
        check_budget([*cells.values()])
    return [cells[run] for planned in plans.values() for run in planned if run in cells]


def make_chain(studies: dict[str, Config], planned: dict[Run, Plan], place: Place) -> list[Task]:
    """The tasks of one row and seed.

    Args:
        studies: The studies of the stages.
        planned: What they do, the classifier first.
        place: Where they are and go.

    Returns:
        The tasks, in the same order; all but the first need it.
    """
    tasks: list[Task] = []
    for run, plan in planned.items():
        make = _probe_task if run.x == PROBE else make_task
        task = make(studies[run.x], run, plan, place)
        tasks.append(replace(task, needs=[first.name for first in tasks[:1]]))
    return tasks


def committed_cells(results: Path) -> list[dict[str, Any]]:
    """Read the cells that an earlier scoreboard holds.

    Args:
        results: Its JSON; may be missing.

    Returns:
        The cells.
    """
    return json.loads(results.read_text())['cells'] if results.exists() else []


def _finished(
    study: Config, run: Run, task: Task, known: dict[str, Any] | None, place: Place
) -> dict[str, Any] | None:
    """A run's cell, if it is there: what it started from is needed no more, and may be gone."""
    stamp = replace(task, outputs=()).result(inputs_gone=True)
    if stamp is not None:
        return make_entry(study, run, stamp, place)
    # Weights of another training of the same classifier are as good.
    data = replace(task, inputs=[file for file in task.inputs if file.name != WEIGHTS])
    return known if known and answers(known, study, data, place) else None


def _probe_task(study: Config, run: Run, plan: Plan, place: Place) -> Task:
    folder, config = place.work_dir / run.name, place.work_dir / run.name / 'config.py'
    report = folder / 'probe.json'

    def argv() -> list[str]:
        plan.config.dump(config)
        tool = script(place.tools / 'analysis_tools' / 'probe.py')
        return [*tool, str(config), str(plan.files[0]), '--out', str(report)]

    def finish() -> dict[str, Any]:
        found = json.loads(report.read_text())
        measured = {f'{reader}/mIoU': found[reader]['mIoU'] for reader in ('knn', 'logreg')}
        return {'measured': measured, 'iterations': 0} | environment()

    return Task(
        name=run.name,
        folder=folder,
        steps=[Step('probe', argv, PROBE_ITERATIONS)],
        identity={'config': find_arm(study, run.arm).config, 'merged': plan.digest},
        inputs=plan.files,
        finish=finish,
    )
