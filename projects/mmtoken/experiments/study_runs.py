"""What a study file says: its runs, and the config of each."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmtoken.errors import UserError
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.task import Task

REQUIRED = ('title', 'question', 'metrics', 'x', 'arms', 'control')
OPTIONAL = ('options', 'subset')


@dataclass(frozen=True)
class Run:
    """One training of a study."""

    arm: str
    x: float
    seed: int

    @property
    def name(self) -> str:
        """Folder name and label."""
        return f'{self.arm}_{self.x}_seed{self.seed}'.replace(' ', '-').lower()


def load_study(path: Path) -> Config:
    """Read a study file and fill in what it may leave out.

    Args:
        path: The file.

    Returns:
        The study, with every name in ``REQUIRED`` and ``OPTIONAL``.

    Raises:
        UserError: If something is missing or contradicts itself.
    """
    study = load_config(str(path))
    missing = [name for name in REQUIRED if name not in study]
    if missing:
        raise UserError(f'study {path} does not set {", ".join(missing)}; add it')
    unknown = study.keys() - {*REQUIRED, *OPTIONAL}
    unknown = sorted(name for name in unknown if not name.startswith('_'))
    if unknown:
        raise UserError(
            f'study {path} sets {", ".join(unknown)}, which no study has; '
            'names of your own start with an underscore'
        )
    names = [arm.name for arm in study.arms]
    if len(set(names)) < len(names) or study.control not in names:
        raise UserError(
            f'study {path} has the arms {names} and the control {study.control!r}; '
            'arms need different names, and the control must be one of them'
        )
    study.setdefault('options', {})
    study.setdefault('subset', None)
    return study


def find_arm(study: Config, name: str) -> ConfigDict:
    """The arm of a name."""
    return next(arm for arm in study.arms if arm.name == name)


def subset_indices(size: int, total: int, seed: int) -> list[int]:
    """Draw training samples; of one seed, a smaller draw is part of a larger one.

    Args:
        size: Number of samples.
        total: Samples in the data set.
        seed: The run's seed, so that the interval covers the choice of samples too.

    Returns:
        Sorted indices.
    """
    return sorted(random.Random(seed).sample(range(total), total)[:size])


def run_config(study: Config, run: Run, work_dir: Path) -> tuple[Config, list[Path]]:
    """Merge everything that makes one run into its config.

    Args:
        study: The study.
        run: The run.
        work_dir: The study's folder; its siblings are the other studies' (``{studies}``).

    Returns:
        The config, and the files of other studies that it reads.

    Raises:
        UserError: If an option does not fit.
    """
    arm = find_arm(study, run.arm)
    point = next(point for point in study.x['values'] if point.value == run.x)
    options = {**study.options, **point.get('options', {}), **arm.get('options', {})}
    files: list[Path] = []
    options = {key: _resolve(value, run, work_dir, files) for key, value in options.items()}
    options['randomness.seed'] = run.seed
    cfg = load_config(arm.config, options)
    if study.subset is not None:
        indices = subset_indices(run.x, study.subset.total, run.seed)
        cfg.merge_from_dict({study.subset.key: indices})
    return cfg, files


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
                f'run the study {file.parent.parent.name} with the same seed first'
            )


def check_budget(runs: Sequence[dict[str, Any]]) -> None:
    """Compare only what was trained equally long.

    Args:
        runs: Finished runs.

    Raises:
        UserError: If two runs at one x had different numbers of iterations.
    """
    first: dict[float, dict[str, Any]] = {}
    for run in runs:
        other = first.setdefault(run['x'], run)
        if run['iterations'] != other['iterations']:
            raise UserError(
                f'{run["arm"]} trained {run["iterations"]} iterations at {run["x"]}, '
                f'and {other["arm"]} trained {other["iterations"]}; give every arm the same budget'
            )


def _resolve(value: Any, run: Run, work_dir: Path, files: list[Path]) -> Any:
    """Fill ``{studies}`` and ``{seed}`` into an option, noting the files it then names."""
    if isinstance(value, dict):
        return {key: _resolve(item, run, work_dir, files) for key, item in value.items()}
    if isinstance(value, str) and '{studies}' in value:
        path = value.format(studies=work_dir.parent, seed=run.seed)
        files.append(Path(path))
        return path
    return value
