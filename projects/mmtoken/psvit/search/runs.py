"""A search from its first step to its report: supernet, schedules, retraining."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from mmengine.config import Config
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmtoken.experiments.study_runs import Run, make_grid
from mmtoken.experiments.study_tasks import Place, finish_runs
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.launch import run_from_command_line
from mmtoken.tasks.task import Task, text_digest, write_json
from mmtoken.tasks.tool_steps import environment, export_weights, last_checkpoint, train_step

from .budget import Costs, Prices
from .checks import STAMP, check_fit, check_measure, claim, least_costly
from .configs import check_training_set, retraining_study, supernet_config
from .evolution import best, evolve
from .judge import judge_all
from .results import first_names, make_search_results
from .search_file import DRAWN, SEARCHED, bounds
from .space import Schedule, Space, build_space


def run_search(
    search: Config, path: Path, place: Place, exhaustive: bool = False, processes: int = 1
) -> dict[str, Any]:
    """Search, going on where an earlier call stopped.

    Args:
        search: The search, of `load_search`.
        path: Its file.
        place: Where its runs are and go, and how many side by side.
        exhaustive: Whether every schedule within the budget is measured, and none is bred.
        processes: That train the supernet together; each has a batch of its own.

    Returns:
        What the report shows, as JSON holds it.

    Raises:
        UserError: If the folder holds another search, or if no schedule meets the budget.
    """
    space, cfg = build_space(search.space), load_config(search.config)
    keep = claim(place.work_dir, search, space, cfg, processes)
    check_fit(search, space, cfg)
    check_training_set(cfg, search.folds)
    costs = Costs(cfg, space)
    price = Prices(costs, search.budget, place.work_dir / STAMP)
    first = least_costly(space, search.budget, price)
    _, lower, most = bounds(search.budget)

    def fits(schedule: Schedule) -> bool:
        return lower <= price(schedule) <= most

    net = supernet_config(search, space, place.work_dir)
    check_measure(net, search.metric.key, first)

    def study_of(schedules: Mapping[str, Schedule]) -> Config:
        return retraining_study(search, space, schedules, path)

    retraining = Place(
        place.work_dir / 'retraining', place.tools, place.work_dir / 'retraining.json',
        place.workers,
    )  # fmt: skip
    # What is compared with baselines must train as long as they do.
    study = study_of({f'{SEARCHED} 1': first})
    finish_runs(study, _runs(study, search), set(), retraining)
    keep()
    price.keep()
    task = supernet_task(net, place, processes)
    run_from_command_line([task], 1)

    def judge(schedules: Sequence[Schedule]) -> dict[Schedule, float]:
        return judged(task.folder, search.metric.key, schedules, place)

    if exhaustive:
        found = judge([schedule for schedule in space if fits(schedule)])
    else:
        found = evolve(space, fits, judge, search.evolution, search.seed, [first])
    chosen = _to_retrain(search, space, fits, found)
    # Those that chance drew as well, so that both orders can be compared.
    found = found | judge([*chosen.values()])
    study = study_of(first_names(chosen))
    runs = _runs(study, search)
    entries = finish_runs(study, runs, {*runs}, retraining)
    return make_search_results(search, space, costs, price, found, chosen, entries, exhaustive)


def _runs(study: Config, search: Config) -> list[Run]:
    """The one run of each arm."""
    return make_grid(study, [search.seed], {})


def supernet_task(cfg: Config, place: Place, processes: int = 1) -> Task:
    """The training of the supernet.

    Args:
        cfg: Its config.
        place: Where it goes.
        processes: That train it together.

    Returns:
        The task, whose folder then has `config.py` and `final.pth`.
    """
    folder = place.work_dir / 'supernet'
    config, final = str(folder / 'config.py'), folder / 'final.pth'

    def finish() -> dict[str, Any]:
        export_weights(last_checkpoint(folder), final)
        return environment()

    step = train_step(place.tools, config, folder, cfg, ['--no-validate'], lambda: cfg.dump(config))
    # Wherever it is.
    content = {name: value for name, value in cfg.to_dict().items() if name != 'work_dir'}
    alone = step.argv
    if processes > 1:
        step = replace(step, argv=lambda: _launched(alone(), processes))
    return Task(
        name='supernet',
        folder=folder,
        steps=[step],
        identity={'config': text_digest(str(content)), 'processes': processes},
        outputs=[final],
        finish=finish,
    )


def _launched(command: Sequence[str], processes: int) -> list[str]:
    """A command of Python as torch's launcher starts it, on this machine."""
    python, *words = command
    flags = ['--standalone', '--nproc_per_node', str(processes)]
    return [python, '-m', 'torch.distributed.run', *flags, *words, '--launcher', 'pytorch']


def judged(
    folder: Path, key: str, schedules: Sequence[Schedule], place: Place
) -> dict[Schedule, float]:
    """Measure schedules by the supernet, those that are not yet.

    Args:
        folder: Of the supernet, with its config and weights.
        key: The metric.
        schedules: Those to measure.
        place: How many processes.

    Returns:
        The measures; they are written to `measured.json` as they come, by metric.
    """
    file = folder / 'measured.json'
    every = json.loads(file.read_text()) if file.exists() else {}
    known = every.setdefault(key, {})
    missing = [schedule for schedule in schedules if str(schedule) not in known]
    columns = ['{task.description}', BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    columns[0] = TextColumn(columns[0])
    if missing:
        with Progress(*columns) as progress:
            bar = progress.add_task('schedules measured by the supernet', total=len(missing))
            config, weights = folder / 'config.py', folder / 'final.pth'
            for schedule, value in judge_all(config, weights, key, missing, place.workers):
                known[str(schedule)] = value
                write_json(file, every)
                progress.advance(bar)
    return {schedule: known[str(schedule)] for schedule in schedules}


def _to_retrain(
    search: Config,
    space: Space,
    fits: Callable[[Schedule], bool],
    found: Mapping[Schedule, float],
) -> dict[str, Schedule]:
    top = best(found, search.retraining.top)
    random, drawn = Random(f'{search.seed}-retraining'), []
    for _ in range(1000 * search.retraining.random):
        if len(drawn) == search.retraining.random:
            break
        schedule = space.sample(random)
        # What chance draws may be what was searched.
        if fits(schedule) and schedule not in drawn:
            drawn.append(schedule)
    named = [(SEARCHED, top), (DRAWN, drawn)]
    return {f'{name} {i}': s for name, some in named for i, s in enumerate(some, start=1)}
