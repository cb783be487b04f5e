"""The small plain ViT on single-digit scenes, calibrated without masks: the foreground is where the
trained model itself looks.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of deit-d6w96_digits-cls.py.
Costs: not measured; a step takes longer than one of deit-d6w96_digits-cls.py (docs/benchmark.md).
Command: python tools/train.py configs/digits/auto-calibrated-deit-d6w96_digits-cls.py
"""

_base_ = [
    '../_base_/models/d6w96_calibrated.py',
    '../_base_/datasets/digits_cls.py',
    '../_base_/schedules/digits_cls_calibration.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

load_from = 'work_dirs/deit-d6w96_digits-cls/epoch_6.pth'
model = dict(foreground=dict(type='AutomaticForeground'))
