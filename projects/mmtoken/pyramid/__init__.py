"""What all hierarchical backbones share."""

from .blocks import MixerFirstBlock, PostNormBlock, PyramidBlock
from .patch_merging import PatchMerging
from .shifted_windows import ShiftedWindows
from .token_pyramid import TokenPyramid
from .window_attention import WindowAttention

__all__ = [
    'MixerFirstBlock',
    'PatchMerging',
    'PostNormBlock',
    'PyramidBlock',
    'ShiftedWindows',
    'TokenPyramid',
    'WindowAttention',
]
