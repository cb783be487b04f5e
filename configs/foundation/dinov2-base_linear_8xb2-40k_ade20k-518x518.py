"""A linear head over DINOv2-B with registers on ADE20K, 40k iterations.

Reproduces: nothing published; our design, DINOv2's linear head over a backbone that learns, too.
Needs: dinov2_vitb14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vitb14_reg4_pretrain.pth \
        dinov2_vitb14_reg4.safetensors
Costs: 86.7 M parameters, 152 G multiply-adds at 518 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/dinov2-base_linear_8xb2-40k_ade20k-518x518.py 8 --amp
"""

_base_ = './dinov2-small_linear_8xb2-40k_ade20k-518x518.py'
# 40,000 iterations x (8 x 2) images / 20,210 images = 31.7 epochs.

model = dict(
    backbone=dict(arch='deit-base', init_cfg=dict(checkpoint='dinov2_vitb14_reg4.safetensors')),
    decode_head=dict(in_channels=768, channels=768),
)
