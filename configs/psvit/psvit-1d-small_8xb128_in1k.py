"""PSViT-1D-S (our design) on ImageNet-1k: 197, 99 and 50 tokens, every second layer shares.

Reproduces: nothing published; arXiv 2108.03428 gives a mechanism and no sizes known to us, and
    DeiT's recipe stands in for its own.
Costs: 40.35 M parameters, 4.08 G multiply-adds an image. Training time was not measured.
Command: bash tools/dist_train.sh configs/psvit/psvit-1d-small_8xb128_in1k.py 8 --amp
"""

_base_ = './psvit-1d-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='1d-small'), head=dict(in_channels=768))
