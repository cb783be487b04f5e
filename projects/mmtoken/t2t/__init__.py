"""Tokens-to-Token ViT (Yuan et al., arXiv 2101.11986): a stem of overlapping splits that attends
at every step.
"""

from .performer_attention import PerformerAttention
from .softmax_attention import SoftmaxAttention
from .t2t_stem import T2TStem
from .t2t_vit import T2TViT
from .token_layer import TokenLayer

__all__ = [
    'PerformerAttention',
    'SoftmaxAttention',
    'T2TStem',
    'T2TViT',
    'TokenLayer',
]
