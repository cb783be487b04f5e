"""A small DWNet (6 blocks, 52 to 208 channels, kernels of 7) on glyphs of 96 classes.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_glyphs-cls.py.
Command: python tools/train.py configs/glyphs/dwnet-d6w52_glyphs-cls.py
"""

_base_ = './swinv2-d6w48_glyphs-cls.py'
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

arch = dict(_delete_=True, embed_dims=52, depths=(2, 2, 2), group_channels=(4, 8, 16))
model = dict(
    backbone=dict(type='DWNet', kernel='static', arch=arch, window_size=7),
    head=dict(in_channels=208),
)
