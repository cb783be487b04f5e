"""Swin V2-T with LIFE, patches of one pixel and windows of 8 on Tiny-ImageNet at 64 px.

Reproduces: the setting of the LIFE paper's table, 65.84 % top-1 (*paper*), as far as it is known:
    see swinv2-tiny-p1-w8_1xb512_tiny-imagenet.py.
Costs: 27.9 M parameters, 6.01 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    python tools/train.py configs/life/life-swinv2-tiny-p1-w8_1xb512_tiny-imagenet.py --amp
"""

_base_ = '../swin/swinv2-tiny-p1-w8_1xb512_tiny-imagenet.py'
# 100,000 images / 512 = 196 iterations an epoch; x 300 epochs = 58,800 iterations.

model = dict(backbone=dict(projection=dict(type='LIFEProjection')))
