"""The small LIFE-ViT on single-digit scenes with CutMix: the control of TL-Align.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and data are those of life-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/cutmix-life-d6w96_digits-cls.py
"""

_base_ = './life-d6w96_digits-cls.py'

model = dict(type='TLAlignClassifier', mix=dict(type='PatchCutMix'), target='cutmix')
