"""A linear head over DINOv2-S with registers on ADE20K, 40k iterations.

Reproduces: nothing published; our design, DINOv2's linear head over a backbone that learns, too.
Needs: dinov2_vits14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vits14_reg4_pretrain.pth \
        dinov2_vits14_reg4.safetensors
Costs: 22.1 M parameters, 47.0 G multiply-adds at 518 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/dinov2-small_linear_8xb2-40k_ade20k-518x518.py 8 --amp
"""

_base_ = [
    '../_base_/models/linear_token-vit.py',
    '../_base_/models/dinov2.py',
    '../_base_/datasets/ade20k_518x518.py',
    '../_base_/schedules/ade20k_40k_adamw_linear.py',
    '../_base_/default_runtime.py',
]
# 40,000 iterations x (8 x 2) images / 20,210 images = 31.7 epochs.

model = dict(
    data_preprocessor=dict(size=(518, 518), test_cfg=dict(size_divisor=14)),
    backbone=dict(
        **_base_.dinov2,
        arch='deit-small',
        init_cfg=dict(
            type='Pretrained', checkpoint='dinov2_vits14_reg4.safetensors', prefix='backbone.'
        ),
    ),
    decode_head=dict(in_channels=384, channels=384),
    test_cfg=dict(mode='slide', crop_size=(518, 518), stride=(345, 345)),
)
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=0.1))
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=4000)
)
