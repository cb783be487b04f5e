"""I-D-DWNet-T on ImageNet-1k: a kernel for each position.

Reproduces: the recipe of the released code (Swin's), which lists no accuracy of it. A step of that
    accumulates twice 64 images a GPU; here it has 128 at once, over which batch norms average.
Costs: 26.2 M parameters, 4.39 G multiply-adds an image. Training time was not measured.
Command (in full precision as in the released code):
    bash tools/dist_train.sh configs/dwnet/idynamic-dwnet-tiny_8xb128_in1k.py 8
"""

_base_ = './dwnet-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(kernel='inhomogeneous'))
