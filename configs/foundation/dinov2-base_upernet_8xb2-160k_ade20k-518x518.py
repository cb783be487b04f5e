"""UPerNet over DINOv2-B with registers on ADE20K, 160k iterations.

Reproduces: nothing published; our design, that of DeiT's segmentors, in crops of 37 x 37 patches.
Needs: dinov2_vitb14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vitb14_reg4_pretrain.pth \
        dinov2_vitb14_reg4.safetensors
Costs: 123 M parameters, 461 G multiply-adds at 518 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/dinov2-base_upernet_8xb2-160k_ade20k-518x518.py 8 --amp
"""

_base_ = './dinov2-small_upernet_8xb2-160k_ade20k-518x518.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(arch='deit-base', init_cfg=dict(checkpoint='dinov2_vitb14_reg4.safetensors')),
    neck=dict(in_channels=768),
)
