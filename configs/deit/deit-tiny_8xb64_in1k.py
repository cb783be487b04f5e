"""DeiT-T on ImageNet-1k, the baseline of LIFE-DeiT-T and the start of its detectors and segmentors.

Reproduces: the recipe of the released LIFE code (DeiT's, at batch 512). No ImageNet-1k accuracy
    of the LIFE paper is known to us.
Costs: 5.72 M parameters, 1.26 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/deit/deit-tiny_8xb64_in1k.py 8 --amp
"""

_base_ = [
    '../_base_/models/token-vit_cls.py',
    '../_base_/datasets/imagenet_bs64_deit_224.py',
    '../_base_/schedules/imagenet_bs512_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 300 epochs = 750,900 iterations.
