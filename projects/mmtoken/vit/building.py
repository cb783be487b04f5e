"""Build a part of the backbone that a method registers."""

from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.errors import UserError


def build_part(name: str, cfg: dict, **arguments) -> nn.Module:
    """Build a part by its name in mmpretrain's registry, also inside a detector or segmentor.

    There the default scope is mmdet or mmseg, which would look the name up in the wrong registry.

    Args:
        name: What its config is called, for the error.
        cfg: Its config.
        **arguments: What the backbone adds to it.

    Returns:
        The part.

    Raises:
        UserError: If the config has what the backbone adds.
    """
    given = sorted(arguments.keys() & cfg.keys())
    if given:
        raise UserError(
            f'{name} has {", ".join(given)}, which the backbone sets itself; leave it out'
        )
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        return registry.build(dict(cfg, **arguments))
