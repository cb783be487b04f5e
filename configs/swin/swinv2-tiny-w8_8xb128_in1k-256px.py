"""Swin V2-T with windows of 8 on ImageNet-1k at 256 px, the baseline of LIFE's.

Reproduces: the setting of the released Swin V2, 81.8 % top-1 (*released code*), with the recipe of
    our Swin-T.
Costs: 28.3 M parameters, 5.96 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/swin/swinv2-tiny-w8_8xb128_in1k-256px.py 8 --amp
"""

_base_ = [
    '../_base_/models/swinv2_cls.py',
    '../_base_/datasets/imagenet_bs64_deit_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_swin.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=256)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=292)
test_pipeline[2].update(crop_size=256)
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]
# Without DeiT's repeated augmentation.
train_dataloader = dict(
    batch_size=128,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
