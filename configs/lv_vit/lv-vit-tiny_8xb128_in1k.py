"""LV-ViT-T on ImageNet-1k with token labeling: MixToken, and a label for every patch.

Reproduces: 79.1 % top-1 (released code), with the recipe of the released code. Its annotator,
    NFNet-F6 at 576 px, is not in mmpretrain.
Needs: a label map for every training image, which any classifier makes in a pass (README.md).
Costs: 8.53 M parameters, 2.88 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/lv_vit/lv-vit-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = './lv-vit-small_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 310 epochs = 388,120 iterations.

model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=240))
