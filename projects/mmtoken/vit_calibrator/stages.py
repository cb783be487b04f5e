"""Which losses act from when on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
