"""LV-ViT-L on ImageNet-1k with token labeling: MixToken, and a label for every patch.

Reproduces: 85.3 % top-1 (a table of StructViT), with the recipe of the released code. Its
    annotator, NFNet-F6 at 576 px, is not in mmpretrain.
Needs: a label map for every training image, which any classifier makes in a pass (README.md).
Costs: 150.12 M parameters, 58.77 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/lv_vit/lv-vit-large_8xb128_in1k.py 8 --amp
"""

_base_ = './lv-vit-small_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 310 epochs = 388,120 iterations.

model = dict(
    backbone=dict(arch='large', img_size=288, drop_path_rate=0.3), head=dict(in_channels=768)
)
_load, _labels, _track, _erase, _pack = _base_.train_pipeline
_flip, _augment, _crop = _track['transforms']
_track = dict(_track, transforms=[_flip, dict(_augment, num_policies=3), dict(_crop, scale=288)])
train_pipeline = [_load, _labels, _track, _erase, _pack]
_load, _resize, _center, _pack = _base_.test_pipeline
test_pipeline = [_load, dict(_resize, scale=288), dict(_center, crop_size=288), _pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]

_warmup, _cosine, _cooldown = _base_.param_scheduler
param_scheduler = [
    dict(_warmup, start_factor=1e-6 / 1e-3),
    dict(_cosine, eta_min_ratio=1e-5 / 1e-3),
    _cooldown,
]
optim_wrapper = dict(optimizer=dict(lr=1e-3))
