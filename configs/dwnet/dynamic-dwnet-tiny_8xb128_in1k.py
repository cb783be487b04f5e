"""Dynamic DWNet-T on ImageNet-1k: a kernel for each image.

Reproduces: the recipe of the released code (Swin's), 81.8 % top-1 (*released code*).
Costs: 51.1 M parameters, 3.77 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/dwnet/dynamic-dwnet-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = './dwnet-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(kernel='homogeneous'))
