"""Mask R-CNN over a frozen DINOv2-B with registers on COCO, 100 epochs.

Reproduces: nothing published; our design, the detector beside it whose backbone does not learn.
Needs: dinov2_vitb14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vitb14_reg4_pretrain.pth \
        dinov2_vitb14_reg4.safetensors
Costs: 112 M parameters; backbone and neck 721 G multiply-adds at 1008 x 1008 px.
    Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/mask-rcnn_frozen-dinov2-base_sfp_lsj-100e_coco.py 8 --amp
"""

_base_ = './mask-rcnn_dinov2-base_sfp_lsj-100e_coco.py'
# 117,266 images with objects / (8 x 8) = 1,833 iterations an epoch; x 100 epochs = 183,300.

# All twelve layers and what is before and behind them.
model = dict(backbone=dict(frozen_stages=12))
