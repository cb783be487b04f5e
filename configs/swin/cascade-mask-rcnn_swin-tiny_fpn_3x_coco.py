"""Cascade Mask R-CNN over Swin-T on COCO, 3x, images of many scales.

Reproduces: the setting of the released detector, 50.4 box AP and 43.7 mask AP (*released code*),
    with group norm in the heads where it has SyncBN.
Needs: the weights of swin-tiny_8xb128_in1k.py, trained by you, or mmpretrain's of Swin-T.
Costs: 85.6 M parameters; backbone and neck 155 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/cascade-mask-rcnn_swin-tiny_fpn_3x_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/cascade-mask-rcnn_pyramid.py',
    '../_base_/datasets/coco_instance_multi-scale.py',
    '../_base_/schedules/coco_3x_adamw_swin.py',
    '../_base_/default_runtime.py',
]
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 36 epochs = 263,880.

model = dict(
    backbone=dict(
        type='mmpretrain.Swin',
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/swin-tiny_8xb128_in1k/epoch_300.pth'),
    )
)
