"""LV-ViT-M on ImageNet-1k with token labeling: MixToken, and a label for every patch.

Reproduces: 84.0 % top-1 (released code), with the recipe of the released code. Its annotator,
    NFNet-F6 at 576 px, is not in mmpretrain.
Needs: a label map for every training image, which any classifier makes in a pass (README.md).
Costs: 55.83 M parameters, 12.70 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/lv_vit/lv-vit-medium_8xb128_in1k.py 8 --amp
"""

_base_ = './lv-vit-small_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 310 epochs = 388,120 iterations.

model = dict(backbone=dict(arch='medium', drop_path_rate=0.2), head=dict(in_channels=512))
# Evaluated without a border.
_load, _resize, _center, _pack = _base_.test_pipeline
test_pipeline = [_load, dict(_resize, scale=224), _center, _pack]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]
