# Cascade R-CNN without masks on the four maps of a pyramid, with mmdet's own box heads: two linear
# layers, and one box for all classes.
_base_ = './cascade-mask-rcnn_pyramid.py'

_head = dict(
    type='Shared2FCBBoxHead',
    in_channels=256,
    fc_out_channels=1024,
    roi_feat_size=7,
    num_classes=80,
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
)

model = dict(
    roi_head=dict(
        bbox_head=[
            dict(_head, bbox_coder=stage.bbox_coder.to_dict())
            for stage in _base_.model.roi_head.bbox_head
        ],
        mask_roi_extractor=None,
        mask_head=None,
    )
)
