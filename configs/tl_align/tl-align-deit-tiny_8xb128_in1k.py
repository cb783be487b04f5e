"""DeiT-T on ImageNet-1k with TL-Align: CutMix labels follow their tokens through attention.

Reproduces: 73.2 % top-1 (paper), 72.2 % without TL-Align (paper); the recipe of the released code.
Costs: 5.72 M parameters, 1.26 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/tl_align/tl-align-deit-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = [
    '../_base_/models/token-vit_cls.py',
    '../_base_/datasets/imagenet_bs64_deit_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_deit.py',
    '../_base_/default_runtime.py',
]
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(
    type='TLAlignClassifier',
    mix=dict(type='PatchCutMix', alpha=1.0),
    target='tl_align',
    # One box of patches per batch, always, is the only mixing: no Mixup.
    train_cfg=None,
)
train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader
# As in DeiT, every GPU draws boxes of its own; the samplers share a seed nevertheless.
randomness = dict(diff_rank_seed=True)
