"""A plain ViT (6 layers, 96 wide, patch 8) on single-digit scenes: the control of LIFE.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; LIFE took 4.3 minutes on two CPU cores.
Command: python tools/train.py configs/digits/deit-d6w96_digits-cls.py
"""

_base_ = [
    '../_base_/models/token-vit_cls.py',
    '../_base_/datasets/digits_cls.py',
    '../_base_/schedules/digits_cls_adamw.py',
    '../_base_/default_runtime.py',
]
# 6,000 images / 32 = 188 iterations an epoch; x 8 epochs = 1,504.

model = dict(
    backbone=dict(
        arch=dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384),
        img_size=64,
        patch_size=8,
        drop_path_rate=0.0,
        out_type='avg_featmap',
        # DeiT's and torch's defaults let a signal fade at 96 channels; these keep its variance.
        init_cfg=[
            dict(type='Xavier', layer='Linear'),
            dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'),
        ],
    ),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=10,
        in_channels=96,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    train_cfg=dict(augments=None),
)
