"""PSViT-1D-Ti (our design) on ImageNet-1k: 197, 99 and 50 tokens, every second layer shares.

Reproduces: nothing published; arXiv 2108.03428 gives a mechanism and no sizes known to us, and
    DeiT's recipe stands in for its own.
Costs: 13.65 M parameters, 1.24 G multiply-adds an image. Training time was not measured.
Command: bash tools/dist_train.sh configs/psvit/psvit-1d-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = [
    '../_base_/models/token-vit_cls.py',
    '../_base_/datasets/imagenet_bs64_deit_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(
    backbone=dict(type='PSViT', arch='1d-tiny'),
    head=dict(in_channels=384),
)
train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader
