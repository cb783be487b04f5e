"""What detectors and segmentors need of a plain vision transformer."""

from .heads_first import HeadsFirstHook
from .layer_decay import TokenViTLayerDecayConstructor
from .pyramid_check import PyramidCheckHook, check_pyramids
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = [
    'HeadsFirstHook',
    'PyramidCheckHook',
    'SimpleFeaturePyramid',
    'TokenViTLayerDecayConstructor',
    'check_pyramids',
]
