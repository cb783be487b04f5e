"""Mask R-CNN over a calibrated LIFE-DeiT-T, on COCO, 1x.

Reproduces: nothing; our design, the detector of ../life, so that the two differ in the weights they
    start from alone.
Needs: the LIFE-DeiT-T of calibrated-life-deit-tiny_8xb64_in1k.py, trained by you.
Defaults: kept, those of the classifier's own detector.
Costs: 26.0 M parameters; backbone and neck 107 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command: bash tools/dist_train.sh \
configs/vit_calibrator/mask-rcnn_calibrated-life-deit-tiny_sfp_1x_coco.py 8 --amp
"""

_base_ = '../life/mask-rcnn_life-deit-tiny_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/calibrated-life-deit-tiny_8xb64_in1k/epoch_20.pth')
    )
)
