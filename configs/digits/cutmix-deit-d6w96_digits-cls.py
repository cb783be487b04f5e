"""The small plain ViT on single-digit scenes with CutMix: the control of TL-Align.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and data are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/cutmix-deit-d6w96_digits-cls.py
"""

_base_ = './deit-d6w96_digits-cls.py'

model = dict(type='TLAlignClassifier', mix=dict(type='PatchCutMix'), target='cutmix')
