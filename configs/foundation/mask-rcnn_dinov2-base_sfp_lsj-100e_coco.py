"""Mask R-CNN over DINOv2-B with registers on COCO, 100 epochs.

Reproduces: nothing published; ViTDet's recipe (../_base_/models/mask-rcnn_vitdet.py) on other
    weights. Patches of 14 px give strides of 3.5, 7, 14 and 28.
Needs: dinov2_vitb14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vitb14_reg4_pretrain.pth \
        dinov2_vitb14_reg4.safetensors
Costs: 112 M parameters; backbone and neck 721 G multiply-adds at 1008 x 1008 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/foundation/mask-rcnn_dinov2-base_sfp_lsj-100e_coco.py 8 --amp
"""

_base_ = './mask-rcnn_dinov2-small_sfp_lsj-100e_coco.py'
# 117,266 images with objects / (8 x 8) = 1,833 iterations an epoch; x 100 epochs = 183,300.

model = dict(
    backbone=dict(arch='deit-base', init_cfg=dict(checkpoint='dinov2_vitb14_reg4.safetensors')),
    neck=dict(in_channels=768),
)
