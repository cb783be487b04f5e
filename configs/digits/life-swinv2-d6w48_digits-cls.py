"""The small Swin V2 on single-digit scenes with LIFE, its convolutions over the whole grid.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/life-swinv2-d6w48_digits-cls.py
"""

_base_ = './swinv2-d6w48_digits-cls.py'
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

# The released code convolves each window by itself: scope='window'.
model = dict(backbone=dict(projection=dict(type='LIFEProjection', scope='grid')))
