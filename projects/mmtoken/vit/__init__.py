"""What all methods share: the backbone, its block, its attention and the plain projection."""

from .projections import LinearProjection
from .token_attention import TokenAttention, traced_attention
from .token_block import TokenBlock
from .token_vit import TokenViT

__all__ = ['LinearProjection', 'TokenAttention', 'TokenBlock', 'TokenViT', 'traced_attention']
