"""Mask R-CNN over MAE-B on COCO, 100 epochs: ViTDet-B.

Reproduces: 51.6 box AP and 45.9 mask AP (ViTDet's released code), but for windows of 16, not 14,
    a class token that stays, and no relative positions. Not trained by us.
Needs: mae_vitb16.safetensors, made of the authors' file:
    python tools/model_converters/convert.py mae_pretrain_vit_base.pth \
        mae_vitb16.safetensors --from mae
Costs: 111 M parameters; backbone and neck 539 G multiply-adds at 1024 x 1024 px.
    Training time was not measured.
Command: bash tools/dist_train.sh configs/foundation/mask-rcnn_mae-base_sfp_lsj-100e_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/mask-rcnn_vitdet.py',
    '../_base_/datasets/coco_instance_lsj-1024.py',
    '../_base_/schedules/coco_100e_adamw_vitdet.py',
    '../_base_/default_runtime.py',
]
# 117,266 images with objects / (8 x 8) = 1,833 iterations an epoch; x 100 epochs = 183,300.

model = dict(
    backbone=dict(
        arch='deit-base',
        init_cfg=dict(type='Pretrained', checkpoint='mae_vitb16.safetensors', prefix='backbone.'),
    ),
    neck=dict(in_channels=768),
)
