"""Mask R-CNN over the small Swin V2 with LIFE on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of life-swinv2-d6w48_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/mask-rcnn_life-swinv2-d6w48_digits-det.py
"""

_base_ = './mask-rcnn_swinv2-d6w48_digits-det.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

model = dict(
    backbone=dict(
        projection=dict(type='LIFEProjection', scope='grid'),
        init_cfg=dict(checkpoint='work_dirs/life-swinv2-d6w48_digits-cls/epoch_6.pth'),
    )
)
