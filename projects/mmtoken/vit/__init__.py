"""What all methods share: the backbone, its block, its attention, its pools and the plain
projection.
"""

from .base_pool import BasePool
from .fused_attention import traced_attention
from .patch_stem import PatchStem
from .projections import LinearProjection
from .token_attention import TokenAttention
from .token_block import TokenBlock
from .token_vit import TokenViT

__all__ = [
    'BasePool',
    'LinearProjection',
    'PatchStem',
    'TokenAttention',
    'TokenBlock',
    'TokenViT',
    'traced_attention',
]
