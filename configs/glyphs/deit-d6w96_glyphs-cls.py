"""A plain ViT (6 layers, 96 wide, patch 8) on single-glyph scenes of 96 classes, none a digit.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured.
Command: python tools/train.py configs/glyphs/deit-d6w96_glyphs-cls.py
"""

_base_ = [
    '../_base_/models/d6w96_cls.py',
    '../_base_/datasets/glyphs_cls.py',
    '../_base_/schedules/glyphs_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(head=dict(num_classes=96))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500))
