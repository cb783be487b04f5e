"""ViT-Calibrator (arXiv 2304.04354): train what a classifier's decisions rest on."""

from .calibrated_classifier import CalibratedClassifier
from .calibration_hook import CalibrationHook
from .calibration_loss import CalibrationLoss, RuleLoss
from .doctor_losses import ChannelLoss, InterTokenLoss, IntraTokenLoss
from .foreground import AutomaticForeground, ForegroundSource, SuppliedForeground
from .losses import DimensionPropagation, TokenPropagation

__all__ = [
    'AutomaticForeground',
    'CalibratedClassifier',
    'CalibrationHook',
    'CalibrationLoss',
    'ChannelLoss',
    'DimensionPropagation',
    'ForegroundSource',
    'InterTokenLoss',
    'IntraTokenLoss',
    'RuleLoss',
    'SuppliedForeground',
    'TokenPropagation',
]
