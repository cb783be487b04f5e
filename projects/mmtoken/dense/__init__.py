"""What detectors and segmentors need of a plain vision transformer."""

from .layer_decay import TokenViTLayerDecayConstructor
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['SimpleFeaturePyramid', 'TokenViTLayerDecayConstructor']
