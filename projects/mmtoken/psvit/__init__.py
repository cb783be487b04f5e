"""Token pooling, of the terms of PSViT (arXiv 2108.03428); attention sharing is not here yet."""

from .token_pool import TokenPool

__all__ = ['TokenPool']
