"""TL-Align: CutMix labels that follow their tokens through attention (Xiao et al., arXiv
2210.06455), with TransMix and plain CutMix for comparison.
"""

from .tl_align_classifier import TLAlignClassifier
from .tl_align_rule import TLAlignRule

__all__ = ['TLAlignClassifier', 'TLAlignRule']
