"""A search from its first step to its report: supernet, schedules, retraining."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

from mmengine.config import Config
from mmengine.registry import METRICS
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy import stats

from mmtoken.dense import check_pyramids
from mmtoken.errors import UserError
from mmtoken.experiments.costs import count_costs, image_shape
from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.experiments.study_runs import make_grid
from mmtoken.experiments.study_tasks import Place, finish_runs
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.launch import run_from_command_line
from mmtoken.tasks.task import Task, text_digest, write_json
from mmtoken.tasks.tool_steps import environment, export_weights, last_checkpoint, train_step

from .budget import Costs, latency, scheduled_backbone
from .configs import retraining_study, split_training_set, supernet_config
from .evolution import best, evolve
from .judge import judge_all
from .search_file import DRAWN, SEARCHED
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
    claim(place.work_dir, search, space, cfg)
    check_fit(search, space, cfg)
    trained, held_out = split_training_set(cfg, search.held_out, search.seed)
    costs = Costs(cfg, space)
    price = _priced(costs, search.budget, place.work_dir)
    least = least_costly(space, search.budget, price)
    ((_, most),) = search.budget.items()

    def fits(schedule: Schedule) -> bool:
        return price(schedule) <= most

    net = supernet_config(search, space, trained, held_out, place.work_dir)
    task = supernet_task(net, place, processes)
    run_from_command_line([task], 1)

    def judge(schedules: Sequence[Schedule]) -> dict[Schedule, float]:
        return judged(task.folder, search.metric.key, schedules, place)

    if exhaustive:
        found = judge([schedule for schedule in space if fits(schedule)])
    else:
        found = evolve(space, fits, judge, search.evolution, search.seed, [least])
    chosen = _to_retrain(search, space, fits, found)
    # Those that chance drew as well, so that both orders can be compared.
    found = found | judge([*chosen.values()])
    study = retraining_study(search, space, chosen, trained, held_out, path)
    runs = make_grid(study, [search.seed], {})
    retraining = Place(
        place.work_dir / 'retraining', place.tools, place.work_dir / 'retraining.json',
        place.workers,
    )  # fmt: skip
    entries = finish_runs(study, runs, set(runs), retraining)
    return _results(search, space, costs, price, found, chosen, entries, exhaustive)


def check_fit(search: Config, space: Space, cfg: Config) -> None:
    """Refuse what would fail once the supernet is trained.

    Args:
        search: The search.
        space: Its space.
        cfg: The config whose schedule it searches.

    Raises:
        UserError: If the head does not fit the last stage, a schedule cannot be built, or the
            metric is none of those that the config measures.
    """
    model = deepcopy(cfg.model)
    stages = space.stages(next(iter(space)))
    model.backbone = scheduled_backbone(model.backbone, stages)
    check_pyramids(build_part(cfg, model, 'meta'))
    evaluators = cfg.test_evaluator
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    with METRICS.switch_scope_and_registry(cfg.default_scope) as registry:
        prefixes = [
            evaluator.get('prefix')
            or getattr(registry.get(evaluator['type']), 'default_prefix', '')
            for evaluator in evaluators
        ]
    key = search.metric.key
    if prefixes and all(prefix and not key.startswith(f'{prefix}/') for prefix in prefixes):
        raise UserError(
            f'metric.key {key!r} is none that {cfg.filename} measures; its test_evaluator has the '
            f'prefix {", ".join(prefixes)}, as in {prefixes[0]}/top1'
        )


def claim(folder: Path, search: Config, space: Space, cfg: Config) -> None:
    """Be sure that a folder holds this search, or nothing.

    Args:
        folder: The folder; made where it is missing.
        search: The search.
        space: Its space.
        cfg: The config whose schedule it searches.

    Raises:
        UserError: If it holds another one, with what differs.
    """
    own = dict(
        space=space.describe(),
        held_out=search.held_out,
        seed=search.seed,
        metric=search.metric.key,
        supernet=search.supernet.to_dict(),
        config=text_digest(str(cfg.to_dict())),
    )
    own = json.loads(json.dumps(own))
    stamp = folder / 'search.json'
    if stamp.exists():
        theirs = json.loads(stamp.read_text())
        differing = [name for name in own if own[name] != theirs.get(name)]
        if differing:
            name = differing[0]
            raise UserError(
                f'the folder {folder} holds a search of another {name}: {theirs.get(name)}, and '
                f'this one has {own[name]}; give it another --work-dir, or remove the folder'
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(stamp, own)


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
    alone = step.argv
    if processes > 1:
        step = replace(step, argv=lambda: _launched(alone(), processes))
    return Task(
        name='supernet',
        folder=folder,
        steps=[step],
        identity={'config': text_digest(str(cfg.to_dict())), 'processes': processes},
        outputs=[final],
        finish=finish,
    )


def _launched(command: Sequence[str], processes: int) -> list[str]:
    """A command of Python as torch's launcher starts it, on this machine."""
    python, *words = command
    flags = ['--standalone', '--nproc_per_node', str(processes)]
    return [python, '-m', 'torch.distributed.run', *flags, *words, '--launcher', 'pytorch']


def least_costly(
    space: Space, budget: Mapping[str, float], price: Callable[[Schedule], float]
) -> Schedule:
    """The schedule that costs least, of those that share all they can: sharing is never dearer.

    Args:
        space: The space.
        budget: One of `BUDGETS` and the most it may be.
        price: What a schedule costs of it.

    Raises:
        UserError: If it costs more than the budget, which no schedule meets then.
    """
    ((kind, most),) = budget.items()
    letters = 'FS' if 'FS' in space.choices else 'FF'
    places = combinations(range(1, space.units), len(space.widths) - 1)
    least = min((Schedule((letters,) * space.units, pools) for pools in places), key=price)
    if price(least) > most:
        raise UserError(
            f'no schedule of the space meets the budget of {most:g} {kind}; the least, {least}, '
            f'costs {price(least):g}: raise the budget, or give the space narrower widths'
        )
    return least


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
        The measures; they are written to `measured.json` as they come.
    """
    file = folder / 'measured.json'
    known = json.loads(file.read_text()) if file.exists() else {}
    missing = [schedule for schedule in schedules if str(schedule) not in known]
    columns = ['{task.description}', BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    columns[0] = TextColumn(columns[0])
    if missing:
        with Progress(*columns) as progress:
            bar = progress.add_task('schedules measured by the supernet', total=len(missing))
            config, weights = folder / 'config.py', folder / 'final.pth'
            for schedule, value in judge_all(config, weights, key, missing, place.workers):
                known[str(schedule)] = value
                write_json(file, known)
                progress.advance(bar)
    return {schedule: known[str(schedule)] for schedule in schedules}


def _priced(costs: Costs, budget: Mapping[str, float], folder: Path) -> Callable[[Schedule], float]:
    """What a schedule costs of the budget; what is timed is timed once."""
    (kind,) = budget
    if kind != 'latency_ms':
        return lambda schedule: costs.count(schedule)[kind]
    file = folder / 'latency.json'
    known = json.loads(file.read_text()) if file.exists() else {}

    def price(schedule: Schedule) -> float:
        if str(schedule) not in known:
            known[str(schedule)] = costs.latency(schedule)
            write_json(file, known)
        return known[str(schedule)]

    return price


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


def _results(
    search: Config,
    space: Space,
    costs: Costs,
    price: Callable[[Schedule], float],
    found: Mapping[Schedule, float],
    chosen: Mapping[str, Schedule],
    entries: Sequence[dict[str, Any]],
    exhaustive: bool,
) -> dict[str, Any]:
    key = search.metric.key
    retrained = {entry['arm']: entry['metrics'][key] for entry in entries}
    ((kind, most),) = search.budget.items()
    both = [name for name in chosen if name in retrained and chosen[name] in found]
    searched = [name for name in retrained if name.startswith(SEARCHED)]
    winner = max(searched, key=lambda name: retrained[name])
    rank = None
    if len(both) > 2:
        pairs = [(found[chosen[name]], retrained[name]) for name in both]
        if all(len(set(values)) > 1 for values in zip(*pairs, strict=True)):
            rank = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    return dict(
        title=search.title,
        question=search.question,
        metric=dict(search.metric),
        budget={kind: most},
        space=space.describe() | dict(schedules=len(space)),
        supernet=search.supernet.to_dict(),
        held_out=search.held_out,
        seed=search.seed,
        exhaustive=exhaustive,
        measured=[
            dict(
                schedule=str(schedule), value=value, price=price(schedule), **costs.count(schedule)
            )
            for schedule, value in found.items()
        ],
        retrained=[
            dict(
                name=name,
                value=value,
                schedule=str(chosen[name]) if name in chosen else None,
                measured=found.get(chosen[name]) if name in chosen else None,
                **(
                    dict(costs.count(chosen[name]), price=price(chosen[name]))
                    if name in chosen
                    else _baseline_costs(search, name, kind)
                ),
            )
            for name, value in retrained.items()
        ],
        found=str(chosen[winner]),
        rank_correlation=rank,
        environment=environment(),
    )


def _baseline_costs(search: Config, name: str, kind: str) -> dict[str, float]:
    (path,) = (baseline.config for baseline in search.baselines if baseline.name == name)
    cfg = load_config(path)
    model, shape = build_part(cfg, cfg.model), image_shape(cfg, None)
    counted = count_costs(model, shape, cfg.default_scope)
    found = {name: counted[name] for name in ('macs', 'params')}
    return found | {'price': latency(model, shape) if kind == 'latency_ms' else found[kind]}
