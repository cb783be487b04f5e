"""LIFE: local information at several scales in the q, k, v projection (Akkaya et al., arXiv
2305.08551).
"""

from .life_projection import LIFEProjection
from .life_vit import LIFEViT

__all__ = ['LIFEProjection', 'LIFEViT']
