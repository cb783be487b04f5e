"""A plain ViT (6 layers, 96 wide, patch 8) on single-digit scenes: the control of LIFE.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; LIFE took 4.6 minutes on one CPU core.
Command: python tools/train.py configs/digits/deit-d6w96_digits-cls.py
"""

_base_ = [
    '../_base_/models/d6w96_cls.py',
    '../_base_/datasets/digits_cls.py',
    '../_base_/schedules/digits_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.
