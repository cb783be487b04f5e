"""Swin-T on ImageNet-1k, the start of its detectors and segmentors.

Reproduces: the recipe of the released Swin code, 81.2 % top-1 (*released code*).
Costs: 28.3 M parameters, 4.51 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/swin/swin-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = [
    '../_base_/models/swin_cls.py',
    '../_base_/datasets/imagenet_bs64_deit_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_swin.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

# Without DeiT's repeated augmentation.
train_dataloader = dict(
    batch_size=128, sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True)
)
