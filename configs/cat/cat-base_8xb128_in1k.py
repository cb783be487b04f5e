"""CAT-B on ImageNet-1k.

Reproduces: the recipe of the released code (Swin's), 82.8 % top-1 (*released code*).
Costs: 51.5 M parameters, 8.96 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/cat/cat-base_8xb128_in1k.py 8 --amp
"""

_base_ = './cat-small_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='base', drop_path_rate=0.3))
