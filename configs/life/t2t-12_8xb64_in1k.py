"""T2T-ViT-12 on ImageNet-1k, the baseline of LIFE's.

Reproduces: nothing published with this recipe (that of the released LIFE code, DeiT's); the
    released T2T-ViT-12 has 76.5 % top-1 (*released code*) with its own.
Costs: 6.94 M parameters, 1.77 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/life/t2t-12_8xb64_in1k.py 8 --amp
"""

_base_ = '../deit/deit-tiny_8xb64_in1k.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 300 epochs = 750,900 iterations.

model = dict(backbone=dict(type='T2TViT', arch='t2t-12'), head=dict(in_channels=256))
