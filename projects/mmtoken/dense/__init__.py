"""What detectors and segmentors need of a plain vision transformer."""

from .diagnosed_coco_metric import DiagnosedCocoMetric
from .heads_first import HeadsFirstHook
from .layer_decay import TokenViTLayerDecayConstructor
from .pyramid_check import PyramidCheckHook, check_pyramids
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = [
    'DiagnosedCocoMetric',
    'HeadsFirstHook',
    'PyramidCheckHook',
    'SimpleFeaturePyramid',
    'TokenViTLayerDecayConstructor',
    'check_pyramids',
]
