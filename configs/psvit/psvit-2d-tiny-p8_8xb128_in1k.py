"""PSViT-2D-Ti with patches of 8 px (our design) on ImageNet-1k: the start of its detectors and
segmentors, whose three maps then have the strides 8, 16 and 32.

Reproduces: nothing published (psvit-2d-tiny_8xb128_in1k.py).
Costs: 21.20 M parameters, 5.97 G multiply-adds an image. Training time was not measured.
Command: bash tools/dist_train.sh configs/psvit/psvit-2d-tiny-p8_8xb128_in1k.py 8 --amp
"""

_base_ = './psvit-2d-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(patch_size=8))
