"""DeiT-B on ImageNet-1k with TL-Align: CutMix labels follow their tokens through attention.

Reproduces: 82.3 % top-1 (paper), 81.8 % without TL-Align (paper); the recipe of the released code.
Costs: 86.57 M parameters, 17.58 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/tl_align/tl-align-deit-base_8xb128_in1k.py 8 --amp
"""

_base_ = './tl-align-deit-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='deit-base'), head=dict(in_channels=768))
