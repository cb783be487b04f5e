# A pyramid that two CPU cores train: two blocks each of 48, 96 and 192 channels on tokens of 4, 8
# and 16 px, windows of 4, for 64 px; about the multiply-adds of d6w96_cls.py. Its children name it.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        arch=dict(embed_dims=48, depths=(2, 2, 2), num_heads=(3, 6, 12)),
        img_size=64,
        window_size=4,
        drop_path_rate=0.0,
        # DeiT's and torch's defaults let a signal fade at few channels; these keep its variance.
        init_cfg=[
            dict(type='Xavier', layer='Linear'),
            dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'),
        ],
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=192,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    train_cfg=dict(augments=None),
)
