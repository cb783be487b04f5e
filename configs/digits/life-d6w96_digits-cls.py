"""LIFE-ViT (6 layers, 96 wide, patch 8) on single-digit scenes: where the demo starts.

Reproduces: our own small study (docs/study); no paper.
Costs: 2.3 minutes on one CPU core, measured here.
Command: python tools/train.py configs/digits/life-d6w96_digits-cls.py
"""

_base_ = './deit-d6w96_digits-cls.py'
# 6,000 images / 32 = 188 iterations an epoch; x 4 epochs = 752.

model = dict(backbone=dict(type='LIFEViT'))
