"""Mask R-CNN over the small LV-ViT on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of lv-vit-d6w96_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured; LIFE took 11 minutes on one CPU core.
Command: python tools/train.py configs/digits/mask-rcnn_lv-vit-d6w96_digits-det.py
"""

_base_ = './mask-rcnn_deit-d6w96_digits-det.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LVViT',
        arch=dict(feedforward_channels=288),
        stem=dict(stem_channels=24),
        init_cfg=dict(checkpoint='work_dirs/lv-vit-d6w96_digits-cls/epoch_6.pth'),
    )
)
