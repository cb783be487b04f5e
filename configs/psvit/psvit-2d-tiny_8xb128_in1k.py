"""PSViT-2D-Ti (our design) on ImageNet-1k: 196, 49 and 16 tokens and no class token.

Reproduces: nothing published; arXiv 2108.03428 gives a mechanism and no sizes known to us, and
    DeiT's recipe stands in for its own.
Costs: 21.20 M parameters, 1.24 G multiply-adds an image. Training time was not measured.
Command: bash tools/dist_train.sh configs/psvit/psvit-2d-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = [
    '../_base_/models/token-vit_cls.py',
    '../_base_/datasets/imagenet_bs64_deit_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(
    backbone=dict(type='PSViT', arch='2d-tiny', out_type='avg_featmap'),
    head=dict(in_channels=512),
)
train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader
