"""Mask R-CNN over Swin-T on COCO, 1x: the four stages' maps in mmdet's own FPN.

Reproduces: the setting of the released detectors, 42.7 box AP and 39.3 mask AP (*mmdet's
    mask-rcnn_swin-t-p4-w7_fpn_1x_coco*).
Needs: the weights of swin-tiny_8xb128_in1k.py, trained by you, or mmpretrain's of Swin-T.
Costs: 47.8 M parameters; backbone and neck 155 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/mask-rcnn_swin-tiny_fpn_1x_coco.py 8 --amp
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
        type='mmpretrain.Swin',
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/swin-tiny_8xb128_in1k/epoch_300.pth'),
    )
)
