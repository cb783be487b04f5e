# Mask R-CNN on the four maps of a pyramid, in mmdet's own FPN; its children name the backbone.
_base_ = './mask-rcnn_token-vit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', prefix='backbone.'),
    ),
    neck=dict(
        _delete_=True, type='FPN', in_channels=[96, 192, 384, 768], out_channels=256, num_outs=5
    ),
)
