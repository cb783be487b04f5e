"""The small plain ViT on single-glyph scenes, the last third of whose training calibrates it.

Reproduces: our own small study (docs/study); no paper.
Needs: label maps of the glyph scenes, which say where the glyph is; their class maps make them in
    seconds (_base_/datasets/glyphs_token-labels.py has the command).
Costs: not measured; schedule and images are those of deit-d6w96_glyphs-cls.py.
Command: python tools/train.py configs/glyphs/calibrated-deit-d6w96_glyphs-cls.py
"""

_base_ = [
    '../_base_/models/d6w96_calibrated.py',
    '../_base_/datasets/glyphs_token-labels.py',
    '../_base_/schedules/glyphs_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(head=dict(num_classes=96))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500))
stages = [dict(begin=2000, losses=['token']), dict(begin=2500, losses=['dimension'])]
custom_hooks = [dict(type='CalibrationHook', by_epoch=False, stages=stages)]
