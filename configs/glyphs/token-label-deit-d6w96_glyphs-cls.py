"""The small plain ViT on single-glyph scenes with token labels: every patch has a label.

Reproduces: our own small study (docs/study); no paper.
Needs: label maps of the glyph scenes, which come from their class maps in seconds
    (_base_/datasets/glyphs_token-labels.py has the command).
Costs: not measured; schedule and images are those of deit-d6w96_glyphs-cls.py.
Command: python tools/train.py configs/glyphs/token-label-deit-d6w96_glyphs-cls.py
"""

_base_ = [
    '../_base_/models/d6w96_token-labels.py',
    '../_base_/datasets/glyphs_token-labels.py',
    '../_base_/schedules/glyphs_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(head=dict(num_classes=96, num_token_classes=97))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500))
