"""A linear head over a frozen DINOv2-S with registers on ADE20K, 40k iterations.

Reproduces: DINOv2's linear segmentation, whose authors publish other numbers alone (README.md);
    no batch norm before the layer, as there is a layer norm.
Needs: dinov2_vits14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vits14_reg4_pretrain.pth \
        dinov2_vits14_reg4.safetensors
Costs: 22.1 M parameters, 47.0 G multiply-adds at 518 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/frozen-dinov2-small_linear_8xb2-40k_ade20k-518x518.py 8 --amp
"""

_base_ = './dinov2-small_linear_8xb2-40k_ade20k-518x518.py'
# 40,000 iterations x (8 x 2) images / 20,210 images = 31.7 epochs.

# All twelve layers and what is before and behind them.
model = dict(backbone=dict(frozen_stages=12))
