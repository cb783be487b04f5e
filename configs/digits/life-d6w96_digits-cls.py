"""LIFE-ViT (6 layers, 96 wide, patch 8) on single-digit scenes.

Reproduces: our own small study (docs/study); no paper.
Costs: 4.6 minutes on one CPU core beside other work, measured here.
Command: python tools/train.py configs/digits/life-d6w96_digits-cls.py
"""

_base_ = './deit-d6w96_digits-cls.py'
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

model = dict(backbone=dict(type='LIFEViT'))
