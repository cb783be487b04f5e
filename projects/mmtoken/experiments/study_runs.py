"""The runs of a study, and the config of each."""

import os
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict

from mmtoken.errors import UserError
from mmtoken.experiments.config_digest import config_digest
from mmtoken.experiments.study_draws import drawn_indices, subset_indices
from mmtoken.experiments.study_file import find_arm, find_point
from mmtoken.experiments.study_sweep import check_held_out, tuned_x
from mmtoken.runtime.cli import load_config, merge_options
from mmtoken.tasks.task import Task, folder_name

Choices = dict[tuple[str, Any], str]


@dataclass(frozen=True)
class Run:
    """One training of a study.

    Args:
        arm: Name of its arm.
        x: Value of its point.
        seed: Its seed.
        candidate: Name of the candidate whose options it uses; empty in a study without a sweep.
        tuning: Whether it belongs to the sweep.
    """

    arm: str
    x: float | str
    seed: int
    candidate: str = ''
    tuning: bool = False

    @property
    def name(self) -> str:
        """Folder name and label."""
        folder, middle = ('sweep/', f'_{self.candidate}') if self.tuning else ('', '')
        return folder + folder_name(f'{self.arm}_{self.x}{middle}_seed{self.seed}')


class Plan(NamedTuple):
    """What a run does.

    Args:
        config: Its merged config.
        files: The files of other studies that it reads.
        digest: Of what decides the result in the config, whatever folder those files are in, so
            that it is the same on another machine.
    """

    config: Config
    files: list[Path]
    digest: str


def sweep_grid(study: Config) -> list[Run]:
    """Every run of a study's sweep.

    Args:
        study: A study with a sweep.

    Returns:
        The runs, seeds outermost.
    """
    return [
        Run(arm.name, x, seed, candidate.name, tuning=True)
        for seed in study.sweep.seeds
        for x in study.sweep.x
        for candidate in study.sweep.candidates
        for arm in study.arms
    ]


def make_grid(study: Config, seeds: Sequence[int], choices: Choices) -> list[Run]:
    """Every final run of a study.

    Args:
        study: The study.
        seeds: One run for each.
        choices: The candidate by arm and tuned x, in a study with a sweep.

    Returns:
        The runs, seeds outermost: an interrupted study has every arm of its first seeds. Those of
        which the sweep has not chosen yet are left out.
    """
    runs = []
    for seed in seeds:
        for point in study.x['values']:
            for arm in study.arms:
                if study.sweep is None:
                    runs.append(Run(arm.name, point.value, seed))
                elif candidate := choices.get((arm.name, tuned_x(study, point.value))):
                    runs.append(Run(arm.name, point.value, seed, candidate))
    return runs


def run_config(study: Config, run: Run, work_dir: Path) -> Plan:
    """Merge everything that makes one run into its config.

    What is more particular is merged later: the schedule of the number of iterations, then the
    options of the study, the point, the arm, its own of this seed, the candidate, and those that
    evaluate a sweep.

    Args:
        study: The study.
        run: The run.
        work_dir: The study's folder; its siblings are the other studies' (``{studies}``).

    Returns:
        The config and the files of other studies that it reads.

    Raises:
        UserError: If an option does not fit.
    """
    arm, point = find_arm(study, run.arm), find_point(study, run.x)
    iterations = (study.sweep.iterations if run.tuning else None) or point.iterations
    layers = [schedule(iterations) if iterations else {}]
    layers += [part.get('options', {}) for part in (study, point, arm)]
    layers.append(_seed_options(arm, run.seed))
    if run.candidate:
        candidates = {candidate.name: candidate for candidate in study.sweep.candidates}
        layers.append(candidates[run.candidate].options)
    if run.tuning:
        layers.append(study.sweep.options)
    # Reading a config takes some tenths of a second, and a study has a hundred runs of a few.
    cfg, files = deepcopy(_read_config(os.path.abspath(arm.config))), []
    for layer in [*layers, {'randomness.seed': run.seed}]:
        merge_options(cfg, {key: _resolve(layer[key], run, work_dir, files) for key in layer})
    if study.subset is not None:
        indices = _subset(study, point.scenes, run.seed)
        if indices is not None:
            cfg.merge_from_dict({study.subset.key: indices})
    return Plan(cfg, files, config_digest(cfg, {file: portable(file, work_dir) for file in files}))


def check_sweep(study: Config, work_dir: Path) -> None:
    """Be sure that the sweep measures every arm on held-out data.

    Args:
        study: A study with a sweep.
        work_dir: Its folder.

    Raises:
        UserError: If it does not.
    """
    for run in sweep_grid(study):
        if (run.seed, run.candidate) == (study.sweep.seeds[0], study.sweep.candidates[0].name):
            final = run_config(study, replace(run, tuning=False), work_dir)
            check_held_out(run_config(study, run, work_dir).config, final.config, run.arm)


def schedule(iterations: int) -> dict[str, Any]:
    """Options that let any config train so long: a tenth of warm-up, then a cosine to zero.

    Args:
        iterations: Optimizer iterations.

    Returns:
        Dotted keys and values, those of the schedule whole, whether or not it counted epochs.
    """
    warmup = max(1, iterations // 10)  # mmengine refuses one of nothing
    cosine = dict(begin=warmup, end=iterations, eta_min_ratio=0.0, by_epoch=False)
    return {
        'train_cfg': dict(
            _delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations
        ),
        'param_scheduler': [
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
            dict(type='CosineAnnealingLR', **cosine),
        ],
        'log_processor': dict(by_epoch=False),
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': max(1, iterations // 2),
    }


def portable(file: Path, work_dir: Path) -> str:
    """Name a file that a run reads independently of the folder of all studies.

    Args:
        file: The file.
        work_dir: This study's folder.

    Returns:
        The path from ``{studies}``; that of a file outside it, such as data, as it is.
    """
    studies = work_dir.parent
    if not file.is_relative_to(studies):
        return file.as_posix()
    return f'{{studies}}/{file.relative_to(studies).as_posix()}'


def check_inputs(task: Task) -> None:
    """Look for the files of other studies that a run starts from.

    Args:
        task: The run's task.

    Raises:
        UserError: If one is not there.
    """
    for file in task.inputs:
        if not file.exists():
            raise UserError(
                f'{file}, which {task.name} starts from, does not exist; '
                f'run {file.parent.name} of the study {file.parent.parent.name} first'
            )


def check_plans(plans: dict[Run, Plan]) -> None:
    """Refuse a study that would compare unequal trainings, before any of them starts.

    Args:
        plans: What its runs do, either those of the sweep or the final ones.

    Raises:
        UserError: If two runs at one x have different lengths or batches.
    """
    first: dict[float | str, Run] = {}
    for run, plan in plans.items():
        other = first.setdefault(run.x, run)
        lengths = [_length(plan.config), _length(plans[other].config)]
        if lengths[0] != lengths[1]:
            raise UserError(
                f'{run.name} would train {lengths[0]}, and {other.name} {lengths[1]}; '
                'give every arm and candidate the same budget'
            )


def check_budget(runs: Sequence[dict[str, Any]]) -> None:
    """Compare only what was trained equally long.

    Args:
        runs: Finished runs, either those of the sweep or the final ones.

    Raises:
        UserError: If two runs at one x had different numbers of iterations.
    """
    first: dict[float | str, dict[str, Any]] = {}
    for run in runs:
        other = first.setdefault(run['x'], run)
        if run['iterations'] != other['iterations']:
            raise UserError(
                f'{run["arm"]} trained {run["iterations"]} iterations at {run["x"]}, '
                f'and {other["arm"]} trained {other["iterations"]}; give every arm the same budget'
            )


def _seed_options(arm: ConfigDict, seed: int) -> dict[str, Any]:
    options = arm.get('seed_options')
    if options is None:
        return {}
    if seed >= len(options):
        raise UserError(
            f'the arm {arm.name!r} has seed_options of seeds 0 to {len(options) - 1} and none of '
            f'{seed}; add them, or run other --seeds'
        )
    return options[seed]


@cache
def _read_config(path: str) -> Config:
    return load_config(path)


def _length(cfg: Config) -> str:
    loop = cfg.train_cfg
    unit = 'iterations' if 'max_iters' in loop else 'epochs'
    return (
        f'{loop.get("max_iters") or loop.get("max_epochs")} {unit} '
        f'of batches of {cfg.train_dataloader.get("batch_size")}'
    )


def _subset(study: Config, scenes: int, seed: int) -> list[int] | None:
    if 'draws' in study.subset:
        return drawn_indices(Path(study.subset.draws), scenes, seed)
    return subset_indices(scenes, study.subset.total, seed)


def _resolve(value: Any, run: Run, work_dir: Path, files: list[Path]) -> Any:
    """Fill ``{studies}`` and ``{seed}`` into an option, noting the files it then names."""
    if isinstance(value, dict):
        return {key: _resolve(item, run, work_dir, files) for key, item in value.items()}
    if isinstance(value, str) and '{studies}' in value:
        path = value.format(studies=work_dir.parent, seed=run.seed)
        files.append(Path(path))
        return path
    return value
