"""PSViT (arXiv 2108.03428): tokens pooled from stage to stage, maps shared by neighbors."""

from . import search  # noqa: F401  registers the supernet
from .psvit import PSViT
from .token_pool import SequencePool, TokenPool

__all__ = ['PSViT', 'SequencePool', 'TokenPool']
