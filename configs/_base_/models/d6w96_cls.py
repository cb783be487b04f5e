# A ViT that two CPU cores train: 6 layers, 96 wide, patch 8, for 64 px.
_base_ = './token-vit_cls.py'

model = dict(
    backbone=dict(
        arch=dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384),
        img_size=64,
        patch_size=8,
        drop_path_rate=0.0,
        # Backbones trained so serve detectors and segmentors better than those whose patches are
        # averaged (docs/study).
        out_type='cls_token',
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
