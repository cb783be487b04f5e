"""Swin V2-T, patches of one pixel, windows of 8, on CIFAR-100 at 32 px: the baseline of LIFE's.

Reproduces: the setting of the LIFE paper's table, 76.65 % top-1 (*paper*), as far as it is known.
    Our choice, as the paper's is unknown: batch 512 and 300 epochs (its ImageNet-100 example); the
    released code has this model for images of 32 px.
Costs: 27.7 M parameters, 1.49 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    python tools/train.py configs/swin/swinv2-tiny-p1-w8_1xb512_cifar100.py --amp
"""

_base_ = [
    '../_base_/models/swinv2_cls.py',
    '../_base_/datasets/cifar100_bs512_deit.py',
    '../_base_/schedules/imagenet_bs512_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 50,000 images / 512 = 98 iterations an epoch; x 300 epochs = 29,400 iterations.

# The smallest grid is 4 x 4, smaller than a window of 8.
model = dict(
    backbone=dict(img_size=32, patch_size=1, window_size=(8, 8, 8, 4), drop_path_rate=0.1),
    head=dict(num_classes=100),
)
