"""DeiT-S on ImageNet-1k with TL-Align: CutMix labels follow their tokens through attention.

Reproduces: 80.6 % top-1 (paper), 79.8 % without TL-Align (paper); the recipe of the released code.
Costs: 22.05 M parameters, 4.61 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/tl_align/tl-align-deit-small_8xb128_in1k.py 8 --amp
"""

_base_ = './tl-align-deit-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
