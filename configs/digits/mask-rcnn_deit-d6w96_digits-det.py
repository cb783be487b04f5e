"""Mask R-CNN over the small plain ViT on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of deit-d6w96_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured; LIFE took 11 minutes on one CPU core.
Command: python tools/train.py configs/digits/mask-rcnn_deit-d6w96_digits-det.py
"""

_base_ = [
    '../_base_/models/mask-rcnn_d6w96.py',
    '../_base_/datasets/digits_det.py',
    '../_base_/schedules/digits_dense_adamw.py',
    '../_base_/default_runtime.py',
]
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

model = dict(
    backbone=dict(
        global_attn_indexes=(-1,),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/deit-d6w96_digits-cls/epoch_6.pth',
            prefix='backbone.',
        ),
    )
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.0, by_epoch=False, begin=200, end=1600),
]
train_cfg = dict(max_iters=1600, val_interval=800)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=250))
