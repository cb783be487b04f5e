# LV-ViT-S at 224 px, every patch trained on a label of its own (the released recipe).
model = dict(
    type='TokenLabelClassifier',
    mix=dict(type='MixToken', alpha=1.0),
    token_labels='maps',
    class_target='maps',
    backbone=dict(
        type='LVViT',
        # LV-ViT-S by default; named here, no child could put a dict in its place.
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='raw',
    ),
    head=dict(
        type='TokenLabelHead',
        num_classes=1000,
        in_channels=384,
        # The paper says 0.5, the released commands train with 1.
        dense_weight=1.0,
        # mode 'original' accepts the soft targets of label maps.
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
