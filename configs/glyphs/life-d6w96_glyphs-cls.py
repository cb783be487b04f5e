"""LIFE-ViT (6 layers, 96 wide, patch 8) on single-glyph scenes of 96 classes, none a digit.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured.
Command: python tools/train.py configs/glyphs/life-d6w96_glyphs-cls.py
"""

_base_ = './deit-d6w96_glyphs-cls.py'
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(backbone=dict(type='LIFEViT'))
