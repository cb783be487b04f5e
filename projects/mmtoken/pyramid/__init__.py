"""What all hierarchical backbones share."""

from .patch_merging import PatchMerging
from .token_pyramid import PyramidBlock, TokenPyramid

__all__ = ['PatchMerging', 'PyramidBlock', 'TokenPyramid']
