"""Mask R-CNN over Swin V2-T on COCO, 1x: the baseline of LIFE's.

Reproduces: nothing published; the detector of our Swin-T.
Needs: the weights of swinv2-tiny-w8_8xb128_in1k-256px.py, trained by you.
Costs: 47.9 M parameters; backbone and neck 159 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/mask-rcnn_swinv2-tiny-w8_fpn_1x_coco.py 8 --amp
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
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/swinv2-tiny-w8_8xb128_in1k-256px/epoch_300.pth'),
    )
)
