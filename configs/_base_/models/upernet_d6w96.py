# A UPerNet that two CPU cores train: the small ViT, 64-channel heads.
_base_ = './upernet_token-vit.py'

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(
        arch=dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384),
        img_size=128,
        patch_size=8,
        drop_path_rate=0.0,
    ),
    neck=dict(in_channels=96, out_channels=64, patch_size=8),
    decode_head=dict(in_channels=[64, 64, 64, 64], channels=64, num_classes=11),
    auxiliary_head=dict(in_channels=64, channels=64, num_classes=11),
)
