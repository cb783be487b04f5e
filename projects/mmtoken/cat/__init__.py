"""CAT (Lin et al., arXiv 2106.05786): attention inside windows and between them, in turn."""

from .cat import CAT
from .cross_patch import CrossPatchAttention

__all__ = ['CAT', 'CrossPatchAttention']
