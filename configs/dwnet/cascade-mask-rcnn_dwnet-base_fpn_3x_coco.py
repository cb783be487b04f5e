"""Cascade Mask R-CNN over DWNet-B on COCO, 3x, images of many scales.

Reproduces: the setting of the released detector, 51.0 box AP and 44.1 mask AP (*released
    code*), with group norm in the heads where it has SyncBN.
Needs: the weights of dwnet-base_8xb128_in1k.py, trained by you.
Costs: 132 M parameters; backbone and neck 338 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/dwnet/cascade-mask-rcnn_dwnet-base_fpn_3x_coco.py 8 --amp
"""

_base_ = './cascade-mask-rcnn_dwnet-tiny_fpn_3x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 36 epochs = 263,880.

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint='work_dirs/dwnet-base_8xb128_in1k/epoch_300.pth'),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
