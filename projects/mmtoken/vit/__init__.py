"""What all methods share: the backbone, its block, its attention, its pools and the plain
projection.
"""

from .base_pool import BasePool
from .fused_attention import traced_attention
from .mlps import MLP, SwiGLU
from .patch_stem import PatchStem
from .projections import LinearProjection
from .rotary_position import RotaryPosition
from .token_attention import TokenAttention
from .token_block import TokenBlock
from .token_vit import TokenViT

__all__ = [
    'BasePool',
    'LinearProjection',
    'MLP',
    'PatchStem',
    'RotaryPosition',
    'SwiGLU',
    'TokenAttention',
    'TokenBlock',
    'TokenViT',
    'traced_attention',
]
