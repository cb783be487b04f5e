"""The small LIFE-ViT on single-digit scenes, every patch with a label: where the demo starts.

Reproduces: our own small study (docs/study); no paper.
Needs: label maps of the digit scenes, which come from their class maps in seconds
    (_base_/datasets/digits_token-labels.py has the command).
Costs: 3 minutes on two CPU cores, a process and half of the batch on each, measured here.
Command: python tools/train.py configs/digits/token-label-life-d6w96_digits-cls.py
"""

_base_ = './token-label-deit-d6w96_digits-cls.py'
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

model = dict(backbone=dict(type='LIFEViT'))
