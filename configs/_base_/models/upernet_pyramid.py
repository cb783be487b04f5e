# UPerNet on the four maps of a pyramid, without a neck; its children name the backbone.
_base_ = './upernet_token-vit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', prefix='backbone.'),
    ),
    neck=None,
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
