"""Swin-S on ImageNet-1k.

Reproduces: the recipe of the released Swin code, 83.0 % top-1 (*released code*).
Costs: 49.6 M parameters, 8.77 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/swin/swin-small_8xb128_in1k.py 8 --amp
"""

_base_ = './swin-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
