"""Mask R-CNN over the small LIFE-ViT on glyph scenes of 96 classes, from its class weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of life-d6w96_glyphs-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/glyphs/mask-rcnn_life-d6w96_glyphs-det.py
"""

_base_ = [
    '../_base_/models/mask-rcnn_d6w96.py',
    '../_base_/datasets/glyphs_det.py',
    '../_base_/schedules/digits_dense_adamw.py',
    '../_base_/default_runtime.py',
]
# 1,500 scenes / 4 = 375 iterations an epoch; 2,000 iterations are 5.3 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        # LIFE's convolutions see beyond a window.
        global_attn_indexes=(),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/life-d6w96_glyphs-cls/iter_3000.pth',
            prefix='backbone.',
        ),
    ),
    roi_head=dict(bbox_head=dict(num_classes=96), mask_head=dict(num_classes=96)),
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=250))
