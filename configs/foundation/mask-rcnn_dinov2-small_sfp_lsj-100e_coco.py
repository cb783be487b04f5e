"""Mask R-CNN over DINOv2-S with registers on COCO, 100 epochs.

Reproduces: nothing published; ViTDet's recipe (../_base_/models/mask-rcnn_vitdet.py) on other
    weights. Patches of 14 px give strides of 3.5, 7, 14 and 28.
Needs: dinov2_vits14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vits14_reg4_pretrain.pth \
        dinov2_vits14_reg4.safetensors
Costs: 44.8 M parameters; backbone and neck 279 G multiply-adds at 1008 x 1008 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/foundation/mask-rcnn_dinov2-small_sfp_lsj-100e_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/mask-rcnn_vitdet.py',
    '../_base_/models/dinov2.py',
    '../_base_/datasets/coco_instance_lsj-1008.py',
    '../_base_/schedules/coco_100e_adamw_vitdet.py',
    '../_base_/default_runtime.py',
]
# 117,266 images with objects / (8 x 8) = 1,833 iterations an epoch; x 100 epochs = 183,300.

strides = [3.5, 7, 14, 28]
extractor = dict(featmap_strides=strides)
model = dict(
    data_preprocessor=dict(pad_size_divisor=1008),
    backbone=dict(
        **_base_.dinov2,
        arch='deit-small',
        window_size=18,
        init_cfg=dict(
            type='Pretrained', checkpoint='dinov2_vits14_reg4.safetensors', prefix='backbone.'
        ),
    ),
    neck=dict(in_channels=384, patch_size=14, strides=strides),
    rpn_head=dict(anchor_generator=dict(strides=[*strides, 56])),
    roi_head=dict(bbox_roi_extractor=extractor, mask_roi_extractor=extractor),
)
