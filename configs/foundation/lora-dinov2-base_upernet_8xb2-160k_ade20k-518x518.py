"""UPerNet over DINOv2-B with registers and LoRA on ADE20K, 160k iterations.

Reproduces: nothing published; our design: the backbone of the config beside it stays as it is,
    and additions of rank 16 to its attention learn.
Needs: dinov2_vitb14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vitb14_reg4_pretrain.pth \
        dinov2_vitb14_reg4.safetensors
Costs: 124 M parameters, 462 G multiply-adds at 518 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/lora-dinov2-base_upernet_8xb2-160k_ade20k-518x518.py 8 --amp
"""

_base_ = './dinov2-base_upernet_8xb2-160k_ade20k-518x518.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.LoRABackbone',
        module=_base_.model.backbone,
        targets=('attn.qkv', 'attn.proj'),
        rank=16,
        alpha=16,
    )
)
# What is added is as new in every layer.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.0))
