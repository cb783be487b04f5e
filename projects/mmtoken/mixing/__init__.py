"""Images mixed in whole patches, and targets for them: what TL-Align and LV-ViT share."""

from .mixed import Mixed
from .mixed_classifier import MixedClassifier
from .patch_cutmix import PatchCutMix
from .patch_mix import PatchMix
from .target_rules import TARGET_RULES, CutMixRule

__all__ = ['TARGET_RULES', 'CutMixRule', 'Mixed', 'MixedClassifier', 'PatchCutMix', 'PatchMix']
