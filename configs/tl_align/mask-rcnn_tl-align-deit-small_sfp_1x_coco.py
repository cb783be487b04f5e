"""Mask R-CNN over a DeiT-S trained with TL-Align, on COCO, 1x.

Reproduces: nothing published to our knowledge; our design, that of DeiT's detectors, so that the
    two differ in the weights they start from alone. The paper's detector is not public.
Needs: the DeiT-S of tl-align-deit-small_8xb128_in1k.py, trained by you; no weights are published.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here; no other head, layer decay or attention was better beyond doubt.
Costs: 43.1 M parameters; backbone and neck 208 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/tl_align/mask-rcnn_tl-align-deit-small_sfp_1x_coco.py 8 --amp
"""

_base_ = '../deit/mask-rcnn_deit-small_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/tl-align-deit-small_8xb128_in1k/epoch_300.pth')
    )
)
