# One linear layer over each normed patch token, its scores resized to the image: the linear
# segmentation of DINO and DINOv2, without the batch norm that the latter has before it.
_base_ = './upernet_token-vit.py'

model = dict(
    neck=None,
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=192,
        channels=192,
        in_index=-1,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=150,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=None,
)
