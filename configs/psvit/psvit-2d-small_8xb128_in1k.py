"""PSViT-2D-S (our design) on ImageNet-1k: 196, 49 and 16 tokens and no class token.

Reproduces: nothing published; arXiv 2108.03428 gives a mechanism and no sizes known to us, and
    DeiT's recipe stands in for its own.
Costs: 83.27 M parameters, 4.72 G multiply-adds an image. Training time was not measured.
Command: bash tools/dist_train.sh configs/psvit/psvit-2d-small_8xb128_in1k.py 8 --amp
"""

_base_ = './psvit-2d-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='2d-small'), head=dict(in_channels=1024))
