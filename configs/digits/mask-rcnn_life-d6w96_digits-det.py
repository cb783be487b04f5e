"""Mask R-CNN over the small LIFE-ViT on digit scenes, from class weights: the demo's detector.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of life-d6w96_digits-cls.py, for which the demo takes those of
    token-label-life-d6w96_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: 8 to 11 minutes on one CPU core beside another training, measured here.
Command: python tools/train.py configs/digits/mask-rcnn_life-d6w96_digits-det.py
"""

_base_ = './mask-rcnn_deit-d6w96_digits-det.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        # LIFE's convolutions see beyond a window.
        global_attn_indexes=(),
        init_cfg=dict(checkpoint='work_dirs/life-d6w96_digits-cls/epoch_6.pth'),
    )
)
