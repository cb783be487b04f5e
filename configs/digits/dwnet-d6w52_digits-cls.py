"""A small DWNet (6 blocks, 52 to 208 channels, kernels of 7) on single-digit scenes.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/dwnet-d6w52_digits-cls.py
"""

_base_ = [
    '../_base_/models/d6w48_cls.py',
    '../_base_/datasets/digits_cls.py',
    '../_base_/schedules/digits_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

arch = dict(_delete_=True, embed_dims=52, depths=(2, 2, 2), group_channels=(4, 8, 16))
model = dict(backbone=dict(type='DWNet', arch=arch, window_size=7), head=dict(in_channels=208))
