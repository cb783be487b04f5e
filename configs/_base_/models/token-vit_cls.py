# DeiT-tiny at 224 px: a plain ViT with a class token, in the words of mmpretrain.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='TokenViT',
        # DeiT-tiny by default; named here, no child could put a dict in its place.
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='cls_token',
    ),
    head=dict(
        type='VisionTransformerClsHead',
        num_classes=1000,
        in_channels=192,
        # DeiT draws the head like every other Linear; mmpretrain's default is zero.
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        # mode 'original' accepts the soft targets of Mixup and CutMix.
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    # One of the two per batch, with equal chances.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
