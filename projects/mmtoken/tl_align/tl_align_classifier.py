"""A mmpretrain classifier whose mixed labels follow the tokens through the backbone."""

from mmpretrain.registry import MODELS

from mmtoken.mixing import MixedClassifier


@MODELS.register_module()
class TLAlignClassifier(MixedClassifier):
    """mmpretrain's `ImageClassifier`, trained with CutMix and aligned targets (TL-Align, arXiv
    2210.06455): a `MixedClassifier` with `PatchCutMix` and the target 'tl_align' by default.
    """

    default_mix = dict(type='PatchCutMix')
    default_target = 'tl_align'
