"""Weights of other projects, under the names of a mmpretrain `ImageClassifier` over `TokenViT`."""

from .conversion import Conversion, Hints
from .convert_state_dict import SOURCES, convert_state_dict
from .fold import fold_residual_scale
from .recognise import convert
from .to_timm import to_timm

__all__ = [
    'SOURCES',
    'Conversion',
    'Hints',
    'convert',
    'convert_state_dict',
    'fold_residual_scale',
    'to_timm',
]
