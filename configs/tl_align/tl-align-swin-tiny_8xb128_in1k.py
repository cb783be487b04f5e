"""Swin-T on ImageNet-1k with TL-Align: labels follow their tokens through windows and mergings.

Reproduces: 81.4 % top-1 (*paper*), 81.2 % without TL-Align (*paper*), as far as it is known: the
    authors published neither code nor recipe of it. How labels go through shifted windows and
    mergings is our design; the recipe is Swin's, boxes of 4 px tokens the only mixing.
Costs: 28.3 M parameters, 4.51 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/tl_align/tl-align-swin-tiny_8xb128_in1k.py 8 --amp
"""

_base_ = '../swin/swin-tiny_8xb128_in1k.py'
# 1,281,167 images / (8 x 128) = 1,252 iterations an epoch; x 300 epochs = 375,600 iterations.

model = dict(
    type='TLAlignClassifier',
    mix=dict(type='PatchCutMix', alpha=1.0),
    target='tl_align',
    # One box of patches per batch, always, is the only mixing: no Mixup.
    train_cfg=None,
)
# As in DeiT, every GPU draws boxes of its own; the samplers share a seed nevertheless.
randomness = dict(diff_rank_seed=True)
