"""TL-Align: CutMix labels that follow their tokens through attention (Xiao et al., arXiv
2210.06455), with TransMix and plain CutMix for comparison.
"""

from .patch_cutmix import Mixed, PatchCutMix
from .target_rules import TARGET_RULES
from .tl_align_classifier import TLAlignClassifier

__all__ = ['TARGET_RULES', 'Mixed', 'PatchCutMix', 'TLAlignClassifier']
