"""What the rules of the classes are like, for the log and for who wants to see all of them."""

from __future__ import annotations

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmtoken.tasks.task import write_json

from .calibrated_classifier import CalibratedClassifier
from .class_rules import ClassMeans

# Classes named in a line of the log; all are in this file of the work folder.
NAMED = 20
FILE = Path('calibration/classes.json')


def report_rules(
    runner: Runner, model: CalibratedClassifier, means: ClassMeans, fewest: int
) -> None:
    """Log how many dimensions classes rest on, and which have no rule; write all of it to a file.

    Args:
        runner: Whose log and work folder.
        model: With the rules.
        means: What they were made of.
        fewest: Images of a class below which it has none.
    """
    counted = means.counts >= fewest
    known, logger = counted.tolist(), runner.logger
    rests: dict[str, dict[int, list[int | None]]] = {}
    for name, layers in means.means.items():
        for layer in layers:
            every = model.calibration[name].rules(layer).sum(dim=1)
            rests.setdefault(name, {})[layer] = [
                count if has else None for count, has in zip(every.tolist(), known, strict=True)
            ]
            kept = every[counted]
            if (kept == 0).any():
                logger.warning(
                    f'{name}, layer {layer}: {int((kept == 0).sum())} classes rest on no dimension '
                    'at all by its threshold, which says nothing; lower it'
                )
            if len(kept):
                logger.info(
                    f'{name}, layer {layer}: classes rest on {int(kept.min())} to '
                    f'{int(kept.max())} of {layers[layer].shape[1]} dimensions, '
                    f'{kept.float().mean():.1f} on average ({_first(kept.tolist())})'
                )
    names = _names(runner, len(known))
    without = [name for name, has in zip(names, known, strict=True) if not has]
    if without:
        logger.warning(
            f'{len(without)} of {len(known)} classes have fewer than {fewest} training images that '
            f'are classified correctly and are left uncalibrated: {_first(without)}'
        )
    if is_main_process():
        file = Path(runner.work_dir) / FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, dict(classes=names, uncalibrated=without, dimensions=rests))


def _names(runner: Runner, count: int) -> list[str]:
    """What the training images call the classes; their numbers where they do not."""
    dataset = runner.train_dataloader.dataset
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    return list(names) if len(names) == count else [str(label) for label in range(count)]


def _first(values: list) -> str:
    """A list, up to so many of it."""
    more = f', …: all are in {FILE}' if len(values) > NAMED else ''
    return ', '.join(map(str, values[:NAMED])) + more
