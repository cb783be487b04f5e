"""LV-ViT-S on ImageNet-1k with token labeling: MixToken, and a label for every patch.

Reproduces: 83.3 % top-1 (released code), with the recipe of the released code. Its annotator,
    NFNet-F6 at 576 px, is not in mmpretrain.
Needs: a label map for every training image, which any classifier makes in a pass (README.md).
Costs: 26.15 M parameters, 6.57 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/lv_vit/lv-vit-small_8xb128_in1k.py 8 --amp
"""

_base_ = [
    '../_base_/models/lv-vit_cls.py',
    '../_base_/datasets/imagenet_bs128_token-labels_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_lv-vit.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 310 epochs = 388,120 iterations.
