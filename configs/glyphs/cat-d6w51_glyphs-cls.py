"""A small CAT (a unit each of 51 and 102 channels, windows of 4) on glyphs of 96 classes.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_glyphs-cls.py.
Command: python tools/train.py configs/glyphs/cat-d6w51_glyphs-cls.py
"""

_base_ = './swinv2-d6w48_glyphs-cls.py'
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(
    backbone=dict(type='CAT', arch=dict(embed_dims=51, depths=(1, 1), num_heads=(3, 6))),
    head=dict(in_channels=102),
)
