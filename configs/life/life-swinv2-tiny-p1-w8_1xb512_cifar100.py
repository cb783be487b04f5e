"""Swin V2-T with LIFE, patches of one pixel and windows of 8 on CIFAR-100 at 32 px.

Reproduces: the setting of the LIFE paper's table, 77.48 % top-1 (*paper*), as far as it is known:
    see swinv2-tiny-p1-w8_1xb512_cifar100.py.
Costs: 27.8 M parameters, 1.51 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    python tools/train.py configs/life/life-swinv2-tiny-p1-w8_1xb512_cifar100.py --amp
"""

_base_ = '../swin/swinv2-tiny-p1-w8_1xb512_cifar100.py'
# 50,000 images / 512 = 98 iterations an epoch; x 300 epochs = 29,400 iterations.

model = dict(backbone=dict(projection=dict(type='LIFEProjection')))
