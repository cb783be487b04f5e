"""Swin V2-T with LIFE on ImageNet-1k at 256 px, windows of 8: convolutions within each window.

Reproduces: the released model, with the recipe of our Swin-T. No ImageNet-1k accuracy of the LIFE
    paper is known to us, though its dense results start from such a model.
    projection=dict(scope='grid') convolves the whole grid instead (our design).
Costs: 28.5 M parameters, 6.03 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/life/life-swinv2-tiny-w8_8xb128_in1k-256px.py 8 --amp
"""

_base_ = '../swin/swinv2-tiny-w8_8xb128_in1k-256px.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(backbone=dict(projection=dict(type='LIFEProjection')))
