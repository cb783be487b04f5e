"""Weights of other projects, under the names of a mmpretrain `ImageClassifier` over `TokenViT`."""

from .convert_state_dict import SOURCES, convert_state_dict
from .fold import fold_residual_scale

__all__ = ['SOURCES', 'convert_state_dict', 'fold_residual_scale']
