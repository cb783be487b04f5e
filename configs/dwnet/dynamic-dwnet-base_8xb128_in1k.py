"""Dynamic DWNet-B on ImageNet-1k: a kernel for each image.

Reproduces: the recipe of the released code (Swin's), 83.2 % top-1 (*released code*).
Costs: 162 M parameters, 12.9 G multiply-adds an image. Training time was not measured.
Command (in full precision as in the released code):
    bash tools/dist_train.sh configs/dwnet/dynamic-dwnet-base_8xb128_in1k.py 8
"""

_base_ = './dynamic-dwnet-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
