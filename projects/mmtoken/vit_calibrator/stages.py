"""Which losses act from when on, and what of it can be seen to fail before a training begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.runner import Runner
from mmpretrain.engine.hooks import SwitchRecipeHook

from mmtoken.checks import check_whole
from mmtoken.datasets.load_token_labels import PackTokenLabels
from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.samples import base_datasets

from .calibrated_classifier import CalibratedClassifier
from .foreground import SuppliedForeground

STAGE_KEYS = ('begin', 'losses')


def checked_stages(stages: Sequence[Mapping]) -> list[dict]:
    """Stages with all their keys, in order.

    Args:
        stages: As of `CalibrationHook`.

    Raises:
        UserError: If they are none, or say what a stage does not know.
    """
    if not isinstance(stages, (list, tuple)) or not stages:
        raise UserError(f"stages {stages!r} are none; use a list, such as [dict(losses=['token'])]")
    found: list[dict] = []
    for stage in stages:
        if not isinstance(stage, Mapping):
            raise UserError(
                f'stage {stage!r} is no dict; write it as dict(losses=[…]), with begin where it '
                'does not start at once'
            )
        unknown, losses = sorted(set(stage) - set(STAGE_KEYS)), stage.get('losses')
        named = isinstance(losses, (list, tuple)) and all(isinstance(n, str) for n in losses)
        if unknown or not named:
            raise UserError(
                f'stage {dict(stage)!r} is not dict(begin=…, losses=[…]); '
                f'{"leave out " + ", ".join(unknown) if unknown else "name its losses in a list"}'
            )
        begin = stage.get('begin', 0)
        check_whole('begin', begin, least=0, example=10)
        if found and begin <= found[-1]['begin']:
            raise UserError(
                f'stage {dict(stage)!r} begins with {begin}, not after the stage before it, '
                f'{found[-1]["begin"]}; give each a later begin'
            )
        found.append(dict(begin=begin, losses=tuple(losses)))
    return found


def tell_of_mixing(
    runner: Runner, model: CalibratedClassifier, stages: Sequence[Mapping], unit: str
) -> None:
    """Warn before a training whose images are mixed until a stage that cannot take them so.

    Args:
        runner: Whose hooks may see to it.
        model: Whose images are mixed, or not.
        stages: As of `checked_stages`.
        unit: What their `begin` counts.
    """
    augments = getattr(model.data_preprocessor, 'batch_augments', None)
    mixing = any(augment is not None for augment in getattr(augments, 'augments', ()))
    begins = [stage['begin'] for stage in stages if stage['losses']]
    if mixing and begins and not any(isinstance(hook, SwitchRecipeHook) for hook in runner.hooks):
        runner.logger.warning(
            f'images are mixed, and those that are calibrated from {unit} {begins[0]} on must not '
            'be; set model.train_cfg.augments=None, or let SwitchRecipeHook set '
            'batch_augments=None by then (its action_epoch counts from 1)'
        )


def tell_of_missing_maps(
    runner: Runner, model: CalibratedClassifier, stages: Sequence[Mapping], unit: str
) -> None:
    """Warn before a training whose images come without the label maps that a stage will want.

    Args:
        runner: Whose images they are.
        model: Whose losses act.
        stages: As of `checked_stages`.
        unit: What their `begin` counts.
    """
    begins = [
        stage['begin']
        for stage in stages
        if any(model.calibration[name].needs_foreground for name in stage['losses'])
    ]
    if not begins or not isinstance(model.foreground, SuppliedForeground):
        return
    for dataset in base_datasets(runner.train_dataloader.dataset):
        if not any(isinstance(step, PackTokenLabels) for step in dataset.pipeline.transforms):
            runner.logger.warning(
                f'images of {dataset.data_root or type(dataset).__name__} come without '
                f'label maps, and SuppliedForeground wants them from {unit} {begins[0]} on; have '
                'LoadTokenLabels, TrackAffine and PackTokenLabels in their pipeline'
            )
