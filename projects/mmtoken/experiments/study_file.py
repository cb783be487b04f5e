"""A study file: what it may say, and what it means where it says nothing.

A study file is a Python config. All it may say::

    title = 'From scratch or pre-trained'
    question = 'Where does pre-training pay?'
    iterations = 300            # of every run; sets loop, warm-up of a tenth and cosine to zero
    metrics = [
        dict(key='coco/bbox_mAP', name='box AP', unit='%', scale=100),
        # No table and panel of its own, but a row in the table of all metrics.
        dict(key='coco/bbox_mAP_50', name='box AP50', unit='%', scale=100, report='detail'),
    ]
    x = dict(
        name='scenes, iterations',
        values=[
            dict(value='100, 300', scenes=100),
            dict(value='100, 1,200', scenes=100, iterations=1200, options={...}),
        ],
        # Or numbers, which are the numbers of scenes too: values=[dict(value=100)], log=True
        # What the picture shows of points with names: those that differ in one number.
        curves=[dict(name='iterations', key='iterations', where=dict(scenes=100), log=True)],
    )
    subset = dict(key='train_dataloader.dataset.indices', draws='scenes/first_1200_of_1500.json')
    arms = [
        dict(name='from scratch', config='configs/….py', options={...}),
        # Another study may start from {studies}/NAME/pre-trained_…_seed{seed}/final.pth.
        dict(name='pre-trained', config='configs/….py', options={...}, keep_checkpoint=True),
        # What differs from seed to seed, such as nets that chance drew: of seeds 0, 1, …
        dict(name='by chance', config='configs/….py', seed_options=[{...}, {...}]),
    ]
    control = 'from scratch'    # what the others are compared with, where they name no against=
    options = {...}             # of every run: dotted keys, as --cfg-options takes them
    sweep = dict(
        candidates=[dict(name='lr 1e-3', options={...}), dict(name='lr 5e-4', options={...})],
        seeds=[100],            # of no final run
        x=['100, 300'],         # where to tune; elsewhere, as at the nearest in the order of values
        metric='coco/bbox_mAP', # of the metrics above, and more is better
        iterations=300,         # if not those of the point
        options={...},          # point test_dataloader at a held-out part of the training set
    )

Later options win: those of the study, the point, the arm, the candidate, and the sweep's own. A
candidate must not set what an arm sets. The format is our design.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmtoken.errors import UserError
from mmtoken.experiments.file_entries import LIST, check_entry, check_file
from mmtoken.experiments.study_sweep import check_candidates
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.task import folders_differ

# What each dict of a study must say, and what it may say.
STUDY = (
    dict(title=str, question=str, metrics=LIST, x=Mapping, arms=LIST, control=str),
    dict(options=Mapping, subset=Mapping | None, iterations=int | None, sweep=Mapping | None),
)
PARTS = {
    'x': (dict(name=str, values=LIST), dict(log=bool, curves=LIST)),
    'subset': (dict(key=str), dict(total=int, draws=str)),
    'sweep': (
        dict(candidates=LIST, seeds=LIST, metric=str, options=Mapping),
        dict(x=LIST, iterations=int | None),
    ),
}
ENTRIES = {
    'metrics': (dict(key=str, name=str, unit=str), dict(scale=int | float, report=str)),
    'arms': (
        dict(name=str, config=str),
        dict(options=Mapping, seed_options=LIST, keep_checkpoint=bool, against=str | None),
    ),
    'x.curves': (dict(name=str, key=str), dict(where=Mapping | None, log=bool)),
    'x.values': (
        dict(value=str | int | float),
        dict(label=str, scenes=int, iterations=int | None, options=Mapping),
    ),
    'sweep.candidates': (dict(name=str, options=Mapping), {}),
}
REPORTS = ('table', 'detail')


def load_study(path: Path) -> Config:
    """Read a study file and fill in what it may leave out.

    Args:
        path: The file.

    Returns:
        The study, with every name in ``STUDY``, and every point with its label, iterations and
        number of scenes (None where the study or its configs decide).

    Raises:
        UserError: If something is missing or contradicts itself.
    """
    return fill_study(load_config(str(path)), path)


def fill_study(study: Config, path: Path) -> Config:
    """Check what a study says, and fill in what it may leave out.

    Args:
        study: What a study file says, changed in place.
        path: Where it stands; the file of draws is named from its folder.

    Returns:
        The study, as of :func:`load_study`.

    Raises:
        UserError: If something is missing or contradicts itself.
    """
    check_file(f'study {path}', study, STUDY)
    for name in STUDY[1]:
        study.setdefault(name, {} if name == 'options' else None)
    for name, table in PARTS.items():
        if study[name] is not None:
            check_entry(f'{name} of study {path}', study[name], table)
    for name, table in ENTRIES.items():
        part, _, key = name.partition('.')
        for entry in (study[part] or {}).get(key, []) if key else study[part]:
            check_entry(f'an entry of {name} of study {path}', entry, table)
    _check_arms(study, path)
    _fill_metrics(study, path)
    _fill_points(study, path)
    _check_curves(study, path)
    _fill_sweep(study, path)
    return study


def find_arm(study: Config, name: str) -> ConfigDict:
    """The arm of a name.

    Args:
        study: The study.
        name: The arm's name.

    Returns:
        Its dict in the study file.

    Raises:
        UserError: If the study has no such arm.
    """
    return _find(study.arms, 'name', name, '--arms')


def find_point(study: Config, x: float | str) -> ConfigDict:
    """The point of a value of the x axis.

    Args:
        study: The study.
        x: The value, or its text.

    Returns:
        Its dict in the study file.

    Raises:
        UserError: If the study has no such value.
    """
    return _find(study.x['values'], 'value', x, '--x')


def _find(entries: list[ConfigDict], key: str, wanted: Any, flag: str) -> ConfigDict:
    for entry in entries:
        if str(entry[key]) == str(wanted):
            return entry
    known = ', '.join(repr(str(entry[key])) for entry in entries)
    raise UserError(f'{flag} {wanted}: the study has no such {key}; choose among {known}')


def _check_arms(study: Config, path: Path) -> None:
    names = [arm.name for arm in study.arms]
    if not folders_differ(names) or study.control not in names:
        raise UserError(
            f'study {path} has the arms {names} and the control {study.control!r}; '
            'arms need names that differ in letters or digits, and the control must be one of them'
        )
    for arm in study.arms:
        if arm.get('against') is not None and arm.against not in {*names} - {arm.name}:
            raise UserError(
                f'the arm {arm.name!r} of study {path} is compared with against={arm.against!r}; '
                f'name another one of {names}'
            )


def _fill_metrics(study: Config, path: Path) -> None:
    for metric in study.metrics:
        metric.setdefault('report', REPORTS[0])
        if metric.report not in REPORTS:
            raise UserError(
                f'the metric {metric.key} of study {path} has report={metric.report!r}; '
                f'choose among {", ".join(REPORTS)}'
            )
    if all(metric.report != REPORTS[0] for metric in study.metrics):
        raise UserError(
            f"study {path} has no metric with report='table'; let one to three of them have it"
        )


def _fill_points(study: Config, path: Path) -> None:
    values = [point.value for point in study.x['values']]
    if not folders_differ(values):
        raise UserError(
            f'x of study {path} has the values {values}; give one or more that differ in letters '
            'or digits'
        )
    for point in study.x['values']:
        number = not isinstance(point.value, str)
        point.setdefault('label', f'{point.value:,}' if number else point.value)
        point.setdefault('iterations', study.iterations)
        if study.subset is None:
            continue
        if ('total' in study.subset) == ('draws' in study.subset):
            raise UserError(
                f'subset of study {path} needs one of total, the size of the training set from '
                'which every seed draws anew, and draws, a file of draws; give one'
            )
        if not number and 'scenes' not in point:
            raise UserError(
                f'the point {point.value!r} of study {path} names no number of scenes; add scenes='
            )
        point.setdefault('scenes', point.value)
    if study.subset is not None and 'draws' in study.subset:
        study.subset.draws = str(path.parent / study.subset.draws)


def curve_points(study: Config, curve: ConfigDict) -> list[tuple[Any, float]]:
    """The points of a curve.

    Args:
        study: The study.
        curve: One of its `x.curves`.

    Returns:
        The value of each, and the number that the curve is over, from the smallest.
    """
    where = curve.get('where') or {}
    found = [
        (point.value, point[curve.key])
        for point in study.x['values']
        if point.get(curve.key) is not None
        and all(point.get(key) == value for key, value in where.items())
    ]
    return sorted(found, key=lambda pair: pair[1])


def _check_curves(study: Config, path: Path) -> None:
    for curve in study.x.get('curves', []):
        numbers = [number for _, number in curve_points(study, curve)]
        if len({*numbers}) < max(2, len(numbers)):
            raise UserError(
                f'the curve {curve.name!r} of study {path} has the {curve.key} {numbers}; let key '
                'and where choose two points or more that differ in it'
            )


def _fill_sweep(study: Config, path: Path) -> None:
    sweep = study.sweep
    if sweep is None:
        return
    sweep.setdefault('x', [point.value for point in study.x['values']])
    sweep.setdefault('iterations', None)
    unknown = [x for x in sweep.x if x not in [point.value for point in study.x['values']]]
    keys = [metric.key for metric in study.metrics]
    if unknown or not sweep.x:
        raise UserError(
            f'sweep.x of study {path} is {list(sweep.x)}; choose among the values of its x axis'
        )
    if sweep.metric not in keys:
        raise UserError(
            f'sweep.metric of study {path} is {sweep.metric!r}; '
            f'choose among its metrics {", ".join(keys)}'
        )
    if not sweep.seeds:
        raise UserError(f'sweep.seeds of study {path} is empty; give one seed or more, like [100]')
    check_candidates(study, path)
