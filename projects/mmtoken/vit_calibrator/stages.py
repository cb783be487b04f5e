"""Which losses act from when on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.runner import Runner
from mmpretrain.engine.hooks import SwitchRecipeHook
from mmpretrain.models import ImageClassifier

from mmtoken.checks import check_whole
from mmtoken.errors import UserError

STAGE_KEYS = ('begin', 'losses')


def checked_stages(stages: Sequence[Mapping]) -> list[dict]:
    """Stages with all their keys, in order.

    Args:
        stages: As of `CalibrationHook`.

    Raises:
        UserError: If they are none, or say what a stage does not know.
    """
    if isinstance(stages, Mapping) or not stages:
        raise UserError(f"stages {stages!r} are none; use a list, such as [dict(losses=['token'])]")
    found: list[dict] = []
    for stage in stages:
        if not isinstance(stage, Mapping):
            raise UserError(
                f'stage {stage!r} is no dict; write it as dict(losses=[…]), with begin where it '
                'does not start at once'
            )
        unknown = sorted(set(stage) - set(STAGE_KEYS))
        if unknown or not isinstance(stage.get('losses'), (list, tuple)):
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
        found.append(dict(begin=begin, losses=tuple(stage['losses'])))
    return found


def tell_of_mixing(
    runner: Runner, model: ImageClassifier, stages: Sequence[Mapping], unit: str
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
