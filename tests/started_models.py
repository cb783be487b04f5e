"""Models as hooks leave them before the first step of a training."""

import torch
from torch import nn

from mmtoken.vit_calibrator import CalibratedClassifier


def start(model: nn.Module) -> nn.Module:
    """Let all losses of a calibrated classifier act, with rules that are drawn; other models need
    nothing.
    """
    if not isinstance(model, CalibratedClassifier):
        return model
    if model.foreground is not None:
        model.foreground.remember(model)
    for loss in model.calibration.values():
        for layer, width in loss.widths.items() if loss.needs_rules else ():
            loss.put_rules(layer, torch.rand(model.head.num_classes, width) < 0.5)
    model.set_active(tuple(model.calibration))
    return model
