"""UPerNet over a frozen MAE-B on ADE20K, 160k iterations.

Reproduces: nothing published; our design, the segmentor beside it whose backbone does not learn.
Needs: mae_vitb16.safetensors, made of the authors' file:
    python tools/model_converters/convert.py mae_pretrain_vit_base.pth \
        mae_vitb16.safetensors --from mae
Costs: 123 M parameters, 338 G multiply-adds at 512 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/frozen-mae-base_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = './mae-base_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

# All twelve layers and what is before and behind them.
model = dict(backbone=dict(frozen_stages=12))
