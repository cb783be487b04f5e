"""T2T-ViT-12 with LIFE in its 12 layers on ImageNet-1k: 252 channels, which three scales divide.

Reproduces: nothing published: the paper's table names a T2T-ViT-12-LIFE of 6.59 M parameters with
    100 classes, of which no code exists; where LIFE goes is our design, 6.56 M.
Costs: 6.84 M parameters, 1.75 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/life/life-t2t-12_8xb64_in1k.py 8 --amp
"""

_base_ = './t2t-12_8xb64_in1k.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 300 epochs = 750,900 iterations.

model = dict(backbone=dict(arch='t2t-12-life'), head=dict(in_channels=252))
