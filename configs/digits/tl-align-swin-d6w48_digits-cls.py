"""The small Swin on single-digit scenes with TL-Align: labels follow their tokens through windows.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/tl-align-swin-d6w48_digits-cls.py
"""

_base_ = './swin-d6w48_digits-cls.py'
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

model = dict(type='TLAlignClassifier', mix=dict(type='PatchCutMix'), target='tl_align')
