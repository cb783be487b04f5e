"""What the rows of a scoreboard cost: counted, and timed side by side."""

from functools import partial
from typing import Any

from mmengine.config import Config
from torch import nn

from mmtoken.experiments.benchmark_models import classifier_loss
from mmtoken.experiments.benchmark_rows import Case, Preset, Ratio, Row
from mmtoken.experiments.benchmark_timing import measure
from mmtoken.experiments.costs import count_costs, image_shape
from mmtoken.experiments.scoreboard_stages import build_part, classifier_config
from mmtoken.tasks.task import text_digest

WARMUP_ROUNDS = 3


def count_row(studies: dict[str, Config], row: str) -> dict[str, Any]:
    """Count what a row's classifier costs.

    Args:
        studies: The studies of the stages.
        row: The row's name.

    Returns:
        ``params`` and ``macs`` of one image, the image's ``shape``, the ``stride`` of the
        backbone's map, None where it does not say it, and the ``digest`` of the model.
    """
    cfg = classifier_config(studies, row)
    shape = image_shape(cfg, None)
    model = build_part(cfg, cfg.model)
    strides = getattr(model.backbone, 'out_strides', [None])
    counted = count_costs(model, shape, cfg.default_scope)
    return {
        'params': counted['params'],
        'macs': counted['macs'],
        'shape': list(shape),
        'stride': strides[-1],
        'digest': model_digest(cfg),
    }


def model_digest(cfg: Config) -> str:
    """What tells whether a model is the one that was timed."""
    return text_digest(str(cfg.model.to_dict()))


def time_classifiers(studies: dict[str, Config], control: str, rounds: int) -> dict[str, Any]:
    """Time all rows' classifiers side by side, in one process and on this machine.

    Args:
        studies: The studies of the stages.
        control: The row whose training step the others' are divided by.
        rounds: Measured rounds.

    Returns:
        Entries as ``docs/benchmark.json`` has them, of a training step (``'train'``, AdamW
        included) and of a prediction (``'infer'``), and the ``digests`` of the models.
    """
    names = [arm.name for arm in next(iter(studies.values())).arms]
    configs = {name: classifier_config(studies, name) for name in names}
    rows = [Row(name, partial(_build, cfg), classifier_loss) for name, cfg in configs.items()]
    ratios = [Ratio(name, control) for name in names]
    shape = image_shape(configs[control], None)
    batch = configs[control].train_dataloader.batch_size
    preset = Preset('Classifiers of the scoreboard', rows, ratios)
    measured = {
        mode: measure(
            lambda: preset,
            [Case(shape[0], batch, mode=mode, optimizer=mode == 'train')],
            rounds,
            WARMUP_ROUNDS,
            memory=False,
        )
        for mode in ('train', 'infer')
    }
    return measured | {'digests': {name: model_digest(cfg) for name, cfg in configs.items()}}


def row_speed(speed: dict[str, Any] | None, row: str, digest: str) -> dict[str, Any] | None:
    """What was timed of a row.

    Args:
        speed: What :func:`time_classifiers` returned, if it ever did.
        row: The row's name.
        digest: Of its model as it is now.

    Returns:
        The training step's ``ratio`` to the control's (median and quartiles) and ``images``, images
        a second, predicting; None where another model was timed, or none.
    """
    if not speed or speed['digests'].get(row) != digest:
        return None
    (train,), (infer,) = speed['train']['cases'], speed['infer']['cases']
    ratio = next(found for found in train['ratios'] if found['row'] == row)
    times = next(found for found in infer['rows'] if found['name'] == row)
    return {
        'ratio': {key: ratio[key] for key in ('median', 'low', 'high')},
        'images': infer['batch'] / times['median'],
    }


def _build(cfg: Config, size: int) -> nn.Module:
    return build_part(cfg, cfg.model)
