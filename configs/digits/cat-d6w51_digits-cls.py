"""A small CAT (a unit each of 51 and 102 channels, windows of 4) on single-digit scenes.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/cat-d6w51_digits-cls.py
"""

_base_ = [
    '../_base_/models/d6w48_cls.py',
    '../_base_/datasets/digits_cls.py',
    '../_base_/schedules/digits_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

model = dict(
    backbone=dict(type='CAT', arch=dict(embed_dims=51, depths=(1, 1), num_heads=(3, 6))),
    head=dict(in_channels=102),
)
