"""A small Swin (6 blocks, 48 to 192 channels, windows of 4) on single-digit scenes.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/swin-d6w48_digits-cls.py
"""

_base_ = [
    '../_base_/models/d6w48_cls.py',
    '../_base_/datasets/digits_cls.py',
    '../_base_/schedules/digits_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

model = dict(backbone=dict(type='Swin'))
