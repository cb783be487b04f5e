"""UPerNet over MAE-B on ADE20K, 160k iterations.

Reproduces: 48.1 mean IoU (paper), but for a simple feature pyramid of the last layer, not four
    layers, and no relative positions; layer-wise rates of 0.65 are theirs. Not trained by us.
Needs: mae_vitb16.safetensors, made of the authors' file:
    python tools/model_converters/convert.py mae_pretrain_vit_base.pth \
        mae_vitb16.safetensors --from mae
Costs: 123 M parameters, 338 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/foundation/mae-base_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = [
    '../_base_/models/upernet_token-vit.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_160k_adamw.py',
    '../_base_/default_runtime.py',
]
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        arch='deit-base',
        img_size=512,
        init_cfg=dict(type='Pretrained', checkpoint='mae_vitb16.safetensors', prefix='backbone.'),
    ),
    neck=dict(in_channels=768),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.65))
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=16000)
)
