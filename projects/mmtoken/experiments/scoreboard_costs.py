"""What the rows of a scoreboard cost: counted, and timed side by side."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

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
    ratios = [Ratio(name, control) for name in names]
    shape = image_shape(configs[control], None)
    batch = configs[control].train_dataloader.batch_size
    rows = [Row(name, partial(_build, cfg), _loss_of(cfg, batch)) for name, cfg in configs.items()]
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


def _loss_of(cfg: Config, batch: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """What a row is timed by: label maps of its own images where it learns from maps."""
    dataset = cfg.train_dataloader.dataset
    if 'LoadTokenLabels' not in [step['type'] for step in dataset.get('pipeline', [])]:
        return classifier_loss
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        images = registry.build(dataset)
    return partial(_mapped_loss, [images[index]['data_samples'] for index in range(batch)])


def _mapped_loss(samples: list[DataSample], model: nn.Module, images: Tensor) -> Tensor:
    """The sum of a classifier's losses against label maps."""
    if not model.training:
        return classifier_loss(model, images)
    found = model(images, samples, mode='loss')
    return sum(value for name, value in found.items() if 'loss' in name)


def _build(cfg: Config, size: int) -> nn.Module:
    """A row's classifier; one that is calibrated, as in its first stage."""
    model = build_part(cfg, cfg.model)
    for hook in cfg.get('custom_hooks', []):
        if hook['type'] == 'CalibrationHook':
            model.set_active(hook['stages'][0]['losses'])
    return model
