"""Cascade Mask R-CNN over DWNet-T on COCO, 3x, images of many scales.

Reproduces: the setting of the released detector, 49.9 box AP and 43.4 mask AP (*released
    code*), with group norm in the heads where it has SyncBN.
Needs: the weights of dwnet-tiny_8xb128_in1k.py, trained by you.
Costs: 81.5 M parameters; backbone and neck 137 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/dwnet/cascade-mask-rcnn_dwnet-tiny_fpn_3x_coco.py 8 --amp
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
        type='mmpretrain.DWNet',
        # As in the released code: norms over all processes, grids padded to whole windows.
        block_norm_cfg=dict(type='SyncBN'),
        out_norm_cfg=dict(type='SyncBN'),
        pad_to_window=True,
        init_cfg=dict(checkpoint='work_dirs/dwnet-tiny_8xb128_in1k/epoch_300.pth'),
    )
)
