"""The small plain ViT on single-digit scenes with token labels: every patch has a label.

Reproduces: our own small study (docs/study); no paper.
Needs: label maps of the digit scenes, which come from their class maps in seconds
    (_base_/datasets/digits_token-labels.py has the command).
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/token-label-deit-d6w96_digits-cls.py
"""

_base_ = [
    '../_base_/models/d6w96_token-labels.py',
    '../_base_/datasets/digits_token-labels.py',
    '../_base_/schedules/digits_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.
