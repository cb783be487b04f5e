"""The runs of a study as tasks, run where neither the work dir nor ``results.json`` has them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.experiments.study_file import find_arm
from mmtoken.experiments.study_runs import (
    Plan,
    Run,
    check_budget,
    check_inputs,
    check_plans,
    portable,
    run_config,
)
from mmtoken.tasks.launch import run_from_command_line
from mmtoken.tasks.task import Task, file_digest
from mmtoken.tasks.tool_steps import (
    environment,
    export_weights,
    last_checkpoint,
    test_metrics,
    test_step,
    train_step,
    trained_iterations,
)

# A test and the starts of the two tools take about as long as so many iterations.
TEST_ITERATIONS = 100
KEPT = ('iterations', 'seconds', 'versions', 'processor', 'commit')


@dataclass(frozen=True)
class Place:
    """Where a study's runs are and go.

    Args:
        work_dir: Their folder.
        tools: Folder of ``train.py`` and ``test.py``.
        results: The ``results.json`` of earlier runs, here or on another machine; may be missing.
        workers: Runs side by side.
    """

    work_dir: Path
    tools: Path
    results: Path
    workers: int = 1


def finish_runs(
    study: Config, runs: Sequence[Run], wanted: set[Run], place: Place
) -> list[dict[str, Any]]:
    """Run those that are wanted and not finished, here or in ``results.json``.

    Args:
        study: The study.
        runs: All its final runs, or all those of its sweep.
        wanted: Those to run; of the others, the finished ones are read.
        place: Where they are and go.

    Returns:
        One entry for each finished run, in the order of ``runs``.

    Raises:
        UserError: If a file that a run starts from is not there, or if budgets are unequal.
    """
    plans = {run: run_config(study, run, place.work_dir) for run in runs}
    check_plans(plans)
    named = {run.name: run for run in runs}
    earlier = {entry_key(entry): entry for entry in committed_entries(place.results)}
    entries: dict[Run, dict[str, Any]] = {}
    tasks = []
    for run in runs:
        task = make_task(study, run, plans[run], place)
        stamp, known = task.result(inputs_gone=run not in wanted), earlier.get(run_key(run))
        if stamp is not None and run not in wanted:
            # What a run started from is needed no more, and may have been removed.
            entries[run] = make_entry(study, run, stamp, place)
            continue
        # Where the run is wanted, so may be the weights that another study starts from.
        complete = run not in wanted or all(file.exists() for file in task.outputs)
        if stamp is None and known and complete and answers(known, study, task, place):
            entries[run] = known
        elif run in wanted:
            check_inputs(task)
            tasks.append(task)

    def settle(task: Task, result: dict[str, Any]) -> None:
        run = named[task.name]
        entries[run] = make_entry(study, run, result, place)
        check_budget(list(entries.values()))
        remove_checkpoints(task)

    taken = sum(run in wanted for run in entries)
    if taken:
        print(f'{taken} finished runs are read from {place.results}; --out FOLDER repeats them')
    check_budget(list(entries.values()))
    if tasks:
        # Each has a display and an estimate of its own: what the second does, the first decides.
        print(f'{len(tasks)} {"sweep" if runs[0].tuning else "final"} runs')
        run_from_command_line(tasks, place.workers, settle)
    _tell_left_out(runs, entries, earlier, place)
    return [entries[run] for run in runs if run in entries]


def make_task(study: Config, run: Run, plan: Plan, place: Place) -> Task:
    """The training and test of one run.

    Args:
        study: The study.
        run: The run.
        plan: What it does.
        place: Where it is and goes.

    Returns:
        The task; its identity is the merged config, so that any change of it counts.
    """
    folder, tools = place.work_dir / run.name, place.tools
    arm, cfg = find_arm(study, run.arm), plan.config
    config, final = str(folder / 'config.py'), folder / 'final.pth'
    keep = arm.get('keep_checkpoint', False) and not run.tuning

    def finish() -> dict[str, Any]:
        checkpoint = last_checkpoint(folder)
        if keep:
            export_weights(checkpoint, final)
        found = {'measured': test_metrics(folder), 'iterations': trained_iterations(checkpoint)}
        found |= environment()
        if torch.cuda.is_available():  # on which mmengine trains then
            found['processor'] = torch.cuda.get_device_name()
        return found

    return Task(
        name=run.name,
        folder=folder,
        steps=(
            train_step(
                # Only the test at the end counts, and validation would take time from training.
                tools,
                config,
                folder,
                cfg,
                ['--no-validate'],
                lambda: cfg.dump(config),
                weight=cfg.train_cfg.get('max_iters', 10 * TEST_ITERATIONS),
            ),  # fmt: skip
            test_step(tools, config, folder, weight=TEST_ITERATIONS),
        ),
        identity={'config': arm.config, 'merged': plan.digest},
        inputs=plan.files,
        outputs=[final] if keep else [],
        finish=finish,
    )


def make_entry(study: Config, run: Run, stamp: dict[str, Any], place: Place) -> dict[str, Any]:
    """Bring a finished run into the form in which ``results.json`` holds it.

    Args:
        study: The study.
        run: The run.
        stamp: What its ``finished.json`` holds.
        place: Where it is.

    Returns:
        The entry.

    Raises:
        UserError: If it did not measure what the study reports.
    """
    found, metrics, question = stamp['measured'], {}, stamp['question']
    for metric in study.metrics:
        if metric.key not in found:
            raise UserError(
                f'the study asks for the metric {metric.key!r}, '
                f'and {run.name} measured {", ".join(found)}; correct the study'
            )
        metrics[metric.key] = found[metric.key] * metric.get('scale', 1)
    entry = {'arm': run.arm, 'x': run.x, 'seed': run.seed, 'config': question['identity']['config']}
    if run.candidate:
        entry |= {'candidate': run.candidate, 'tuning': run.tuning}
    entry |= {'metrics': metrics} | {key: stamp[key] for key in KEPT}
    inputs = {portable(Path(file), place.work_dir): digest for file, digest in
              question['inputs'].items()}  # fmt: skip
    return entry | {'digest': question['identity']['merged'], 'inputs': inputs}


def committed_entries(results: Path) -> list[dict[str, Any]]:
    """Read the runs that an earlier report holds.

    Args:
        results: Its ``results.json``; may be missing.

    Returns:
        Entries of the final runs and of the sweep; those of old reports do not say which config
        they are of.
    """
    if not results.exists():
        return []
    report = json.loads(results.read_text())
    return [*report['runs'], *(report.get('sweep') or {}).get('runs', [])]


def answers(entry: dict[str, Any], study: Config, task: Task, place: Place) -> bool:
    """Whether an entry of ``results.json`` is what a task would find.

    Args:
        entry: The entry.
        study: The study.
        task: The run's task.
        place: Where it would run.

    Returns:
        False for another config, for other weights at its start, and where the study has come to
        ask for a metric that it lacks.
    """
    digests = {portable(file, place.work_dir): file_digest(file) for file in task.inputs}
    return (
        entry.get('digest') == task.identity['merged']
        and all(metric.key in entry['metrics'] for metric in study.metrics)
        and all(digest in (None, entry['inputs'].get(file)) for file, digest in digests.items())
    )


def run_key(run: Run) -> tuple[Any, ...]:
    """What a run and its entry have in common."""
    return run.tuning, run.arm, run.x, run.seed, run.candidate


def entry_key(entry: dict[str, Any]) -> tuple[Any, ...]:
    """What an entry and its run have in common."""
    place = entry.get('tuning', False), entry['arm'], entry['x'], entry['seed']
    return *place, entry.get('candidate', '')


def _tell_left_out(
    runs: Sequence[Run],
    entries: Mapping[Run, Any],
    earlier: Mapping[tuple[Any, ...], Any],
    place: Place,
) -> None:
    """Say how many runs of the last report the next one will not have."""
    phases = {run.tuning for run in runs}
    # Whatever their candidates: a final run with another choice has taken the place of the first.
    cells = {run_key(run)[:-1] for run in entries}
    gone = sum(key[0] in phases and key[:-1] not in cells for key in earlier)
    if gone:
        print(
            f'{gone} runs in {place.results} are of another version of this study and leave the '
            'report; name their arms, values of x and seeds to repeat them'
        )


def remove_checkpoints(task: Task) -> None:
    """Delete a finished run's checkpoints but the one that another study starts from."""
    for file in task.folder.glob('*.pth'):
        if file.name != 'final.pth':
            file.unlink()
    (task.folder / 'last_checkpoint').unlink(missing_ok=True)
