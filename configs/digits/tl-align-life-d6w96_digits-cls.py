"""The small LIFE-ViT on single-digit scenes with TL-Align: mixed labels follow their tokens.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and data are those of life-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/tl-align-life-d6w96_digits-cls.py
"""

_base_ = './life-d6w96_digits-cls.py'

model = dict(type='TLAlignClassifier', mix=dict(type='PatchCutMix'), target='tl_align')
