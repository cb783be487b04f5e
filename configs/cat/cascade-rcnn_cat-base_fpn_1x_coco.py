"""Cascade R-CNN over CAT-B on COCO, 1x: boxes alone, as in the released code.

Reproduces: the setting of the released detector, 44.8 box AP (*released code*).
Needs: the weights of cat-base_8xb128_in1k.py, trained by you.
Costs: 96.0 M parameters; backbone and neck 275 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/cat/cascade-rcnn_cat-base_fpn_1x_coco.py 8 --amp
"""

_base_ = './cascade-rcnn_cat-small_fpn_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(checkpoint='work_dirs/cat-base_8xb128_in1k/epoch_300.pth'),
    )
)
