"""Mask R-CNN over a calibrated DeiT-S, on COCO, 1x.

Reproduces: nothing; our design, the detector of ../deit, so that the two differ in the weights they
    start from alone.
Needs: the DeiT-S of calibrated-deit-small_8xb64_in1k.py, trained by you.
Defaults: kept, those of the classifier's own detector.
Costs: 43.1 M parameters; backbone and neck 208 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command: bash tools/dist_train.sh \
configs/vit_calibrator/mask-rcnn_calibrated-deit-small_sfp_1x_coco.py 8 --amp
"""

_base_ = '../deit/mask-rcnn_deit-small_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/calibrated-deit-small_8xb64_in1k/epoch_20.pth')
    )
)
