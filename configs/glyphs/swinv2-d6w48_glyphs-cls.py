"""A small Swin V2 (6 blocks, 48 to 192 channels, windows of 4) on glyphs of 96 classes.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_glyphs-cls.py.
Command: python tools/train.py configs/glyphs/swinv2-d6w48_glyphs-cls.py
"""

_base_ = [
    '../_base_/models/d6w48_cls.py',
    '../_base_/datasets/glyphs_cls.py',
    '../_base_/schedules/glyphs_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(backbone=dict(type='SwinV2'), head=dict(num_classes=96))
