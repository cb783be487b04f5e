"""A model without what wraps it."""

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside wrappers for several processes and for test-time augmentation.

    Args:
        model: A model, wrapped any number of times or not at all.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
