"""A linear head over a frozen MAE-B on ADE20K, 40k iterations.

Reproduces: nothing published; our design, DINOv2's linear segmentation on other weights.
Needs: mae_vitb16.safetensors, made of the authors' file:
    python tools/model_converters/convert.py mae_pretrain_vit_base.pth \
        mae_vitb16.safetensors --from mae
Costs: 86.5 M parameters, 107 G multiply-adds at 512 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/frozen-mae-base_linear_8xb2-40k_ade20k-512x512.py 8 --amp
"""

_base_ = './mae-base_linear_8xb2-40k_ade20k-512x512.py'
# 40,000 iterations x (8 x 2) images / 20,210 images = 31.7 epochs.

# All twelve layers and what is before and behind them.
model = dict(backbone=dict(frozen_stages=12))
