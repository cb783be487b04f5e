"""Cascade R-CNN over CAT-S on COCO, 1x: boxes alone, as in the released code.

Reproduces: the setting of the released detector, 44.1 box AP (*released code*).
Needs: the weights of cat-small_8xb128_in1k.py, trained by you.
Costs: 81.8 M parameters; backbone and neck 210 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/cat/cascade-rcnn_cat-small_fpn_1x_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/cascade-rcnn_pyramid.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/coco_1x_adamw_swin.py',
    '../_base_/default_runtime.py',
]
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        type='mmpretrain.CAT',
        arch='small',
        # Images of any size: grids are padded to whole windows, which are of one size.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/cat-small_8xb128_in1k/epoch_300.pth'),
    )
)
