"""Mask R-CNN over a frozen MAE-B on COCO, 100 epochs.

Reproduces: nothing published; our design, the detector beside it whose backbone does not learn.
Needs: mae_vitb16.safetensors, made of the authors' file:
    python tools/model_converters/convert.py mae_pretrain_vit_base.pth \
        mae_vitb16.safetensors --from mae
Costs: 111 M parameters; backbone and neck 539 G multiply-adds at 1024 x 1024 px.
    Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/mask-rcnn_frozen-mae-base_sfp_lsj-100e_coco.py 8 --amp
"""

_base_ = './mask-rcnn_mae-base_sfp_lsj-100e_coco.py'
# 117,266 images with objects / (8 x 8) = 1,833 iterations an epoch; x 100 epochs = 183,300.

# All twelve layers and what is before and behind them.
model = dict(backbone=dict(frozen_stages=12))
