"""DeiT's initialization."""

from collections.abc import Iterable

from mmengine.model.weight_init import trunc_normal_
from torch import nn


def init_like_deit(module: nn.Module, embedding: Iterable[nn.Parameter]) -> None:
    """Truncated normal of 0.02, zero biases; norms and convolutions keep torch's initialization.

    Args:
        module: Whose linear maps are initialized.
        embedding: Parameters of its own that are, too.
    """
    # On a device without memory, where configs are tried, drawing takes longer than building.
    if all(parameter.is_meta for parameter in module.parameters()):
        return
    for parameter in embedding:
        trunc_normal_(parameter, std=0.02)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
