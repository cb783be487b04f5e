"""Mask R-CNN over DeiT-T with LIFE on COCO, 1x; LIFE's convolutions see the whole token grid.

Reproduces: nothing published; our design, after ViTDet (four global layers among windowed ones,
    a simple feature pyramid, layer-wise learning rates). The paper's detector is not public.
Needs: the LIFE-DeiT-T of life-deit-tiny_8xb64_in1k.py, trained by you; no weights are published.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here; no other head, layer decay or attention was better beyond doubt.
Costs: 26.0 M parameters; backbone and neck 107 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command: bash tools/dist_train.sh configs/life/mask-rcnn_life-deit-tiny_sfp_1x_coco.py 8 --amp
"""

_base_ = '../deit/mask-rcnn_deit-tiny_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        init_cfg=dict(checkpoint='work_dirs/life-deit-tiny_8xb64_in1k/epoch_300.pth'),
    ),
)
