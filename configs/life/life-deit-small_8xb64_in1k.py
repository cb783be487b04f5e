"""DeiT-S with LIFE on ImageNet-1k: local information in every query, key and value.

Reproduces: the recipe of the released LIFE code (DeiT's, at batch 512). No ImageNet-1k accuracy
    of the LIFE paper is known to us, though its dense results start from such a model.
Costs: 22.20 M parameters, 4.64 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/life/life-deit-small_8xb64_in1k.py 8 --amp
"""

_base_ = '../deit/deit-small_8xb64_in1k.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 300 epochs = 750,900 iterations.

model = dict(backbone=dict(type='LIFEViT'))
