"""Mask R-CNN over Swin V2-T with LIFE on COCO, 1x.

Reproduces: nothing published; the paper detects on Pascal VOC, with a framework that is not
    public.
Needs: the weights of life-swinv2-tiny-w8_8xb128_in1k-256px.py, trained by you.
Costs: 48.0 M parameters; backbone and neck 160 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/life/mask-rcnn_life-swinv2-tiny-w8_fpn_1x_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/mask-rcnn_pyramid.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/coco_1x_adamw_swin.py',
    '../_base_/default_runtime.py',
]
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        type='mmpretrain.SwinV2',
        img_size=256,
        projection=dict(type='LIFEProjection'),
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/life-swinv2-tiny-w8_8xb128_in1k-256px/epoch_300.pth'),
    )
)
