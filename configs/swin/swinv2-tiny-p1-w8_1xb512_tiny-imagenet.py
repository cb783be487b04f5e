"""Swin V2-T, patches of one pixel, windows of 8, on Tiny-ImageNet at 64 px: the baseline of LIFE's.

Reproduces: the setting of the LIFE paper's table, 64.78 % top-1 (*paper*), as far as it is known.
    Our choice, as the paper's is unknown: batch 512 and 300 epochs (its ImageNet-100 example); the
    released code has this model for images of 64 px.
Costs: 27.7 M parameters, 5.94 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    python tools/train.py configs/swin/swinv2-tiny-p1-w8_1xb512_tiny-imagenet.py --amp
"""

_base_ = [
    '../_base_/models/swinv2_cls.py',
    '../_base_/datasets/tiny-imagenet_bs512_deit.py',
    '../_base_/schedules/imagenet_bs512_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 100,000 images / 512 = 196 iterations an epoch; x 300 epochs = 58,800 iterations.

# The smallest grid is 8 x 8, a window of its own.
model = dict(
    backbone=dict(img_size=64, patch_size=1, drop_path_rate=0.1), head=dict(num_classes=200)
)
