"""DeiT-T with 4 px patches on CIFAR-100 at 32 px, the baseline of LIFE-DeiT-T.

Reproduces: the setting of the LIFE paper's table, 51.45 % top-1 (*paper*), as far as it is known.
    Our choice, as the paper's is unknown: patch 4 (the released models have 2 and 4), batch 512
    and 300 epochs (its ImageNet-100 example).
Costs: 5.4 M parameters, 0.37 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    python tools/train.py configs/deit/deit-tiny-p4_1xb512_cifar100.py --amp
"""

_base_ = [
    '../_base_/models/token-vit_cls.py',
    '../_base_/datasets/cifar100_bs512_deit.py',
    '../_base_/schedules/imagenet_bs512_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 50,000 images / 512 = 98 iterations an epoch; x 300 epochs = 29,400 iterations.

model = dict(backbone=dict(img_size=32, patch_size=4), head=dict(num_classes=100))
