"""Build a part of the backbone that a method registers."""

from mmpretrain.registry import MODELS
from torch import nn


def build_part(cfg: dict, **arguments) -> nn.Module:
    """Build a part by its name in mmpretrain's registry, also inside a detector or segmentor.

    There the default scope is mmdet or mmseg, which would look the name up in the wrong registry.

    Args:
        cfg: Its config.
        **arguments: What the backbone adds to it.

    Returns:
        The part.
    """
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        return registry.build(dict(cfg, **arguments))
