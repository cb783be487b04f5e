"""Mask R-CNN over DeiT-S on COCO, 1x: the baseline of the LIFE-DeiT-S detector.

Reproduces: nothing published; our design, after ViTDet (four global layers among windowed ones,
    a simple feature pyramid, layer-wise learning rates). The paper's detector is not public.
Needs: the DeiT-S of deit-small_8xb64_in1k.py, trained by you, or public ones (README.md).
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here; no other head, layer decay or attention was better beyond doubt.
Costs: 43.1 M parameters; backbone and neck 208 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command: bash tools/dist_train.sh configs/deit/mask-rcnn_deit-small_sfp_1x_coco.py 8 --amp
"""

_base_ = './mask-rcnn_deit-tiny_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        arch='deit-small',
        init_cfg=dict(checkpoint='work_dirs/deit-small_8xb64_in1k/epoch_300.pth'),
    ),
    neck=dict(in_channels=384),
)
