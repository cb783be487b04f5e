"""A linear head over MAE-B on ADE20K, 40k iterations.

Reproduces: nothing published; our design, DINOv2's linear head over a backbone that learns, too.
Needs: mae_vitb16.safetensors, made of the authors' file:
    python tools/model_converters/convert.py mae_pretrain_vit_base.pth \
        mae_vitb16.safetensors --from mae
Costs: 86.5 M parameters, 107 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/foundation/mae-base_linear_8xb2-40k_ade20k-512x512.py 8 --amp
"""

_base_ = [
    '../_base_/models/linear_token-vit.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_40k_adamw_linear.py',
    '../_base_/default_runtime.py',
]
# 40,000 iterations x (8 x 2) images / 20,210 images = 31.7 epochs.

model = dict(
    backbone=dict(
        arch='deit-base',
        img_size=512,
        init_cfg=dict(type='Pretrained', checkpoint='mae_vitb16.safetensors', prefix='backbone.'),
    ),
    decode_head=dict(in_channels=768, channels=768),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=0.1))
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=4000)
)
