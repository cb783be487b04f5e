"""Token pooling as PSViT (arXiv 2108.03428) asks for it; its attention sharing is not here yet."""

from .token_pool import TokenPool

__all__ = ['TokenPool']
