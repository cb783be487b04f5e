# UPerNet (arXiv 1807.10221) on the simple feature pyramid of one plain-ViT map, with mmseg's
# usual FCN auxiliary head on stride 16.
# Group norm, not mmseg's customary SyncBN: at two images per GPU the pooled 1x1 map leaves batch
# norm two values per channel and at one image it fails, and SyncBN refuses several CPU processes.
# Group norm computes the same on CPU and GPU, on one process and many, at any batch size. Few
# groups, because on the 1x1 map a group sees nothing but its own channels.
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
        # Test images come in any size; predictions are cropped back to it.
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='mmpretrain.TokenViT',
        # DeiT-tiny by default; named here, no child could put a dict in its place.
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='featmap',
    ),
    neck=dict(
        type='mmpretrain.SimpleFeaturePyramid',
        in_channels=192,
        out_channels=256,
        patch_size=16,
        strides=(4, 8, 16, 32),
    ),
    decode_head=dict(
        type='UPerHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=256,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
