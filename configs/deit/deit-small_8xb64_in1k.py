"""DeiT-S on ImageNet-1k, the baseline of LIFE-DeiT-S and the start of its detectors and segmentors.

Reproduces: the recipe of the released LIFE code (DeiT's, at batch 512). No ImageNet-1k accuracy
    of the LIFE paper is known to us.
Costs: 22.05 M parameters, 4.61 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/deit/deit-small_8xb64_in1k.py 8 --amp
"""

_base_ = './deit-tiny_8xb64_in1k.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 300 epochs = 750,900 iterations.

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
