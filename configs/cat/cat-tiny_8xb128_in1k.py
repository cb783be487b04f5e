"""CAT-T on ImageNet-1k.

Reproduces: the recipe of the released code (Swin's), 80.3 % top-1 (*released code*).
Costs: 16.9 M parameters, 2.79 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/cat/cat-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = './cat-small_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='tiny', drop_path_rate=0.1), head=dict(in_channels=512))
