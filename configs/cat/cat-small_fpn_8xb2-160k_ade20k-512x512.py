"""Semantic FPN over CAT-S on ADE20K, 160k iterations.

Reproduces: the setting of the released segmentor, 42.2 mean IoU (*released code*), with group norm
    in the head.
Needs: the weights of cat-small_8xb128_in1k.py, trained by you.
Costs: 40.9 M parameters, 57.0 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/cat/cat-small_fpn_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = [
    '../_base_/models/semantic-fpn_pyramid.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_160k_adamw_cat.py',
    '../_base_/default_runtime.py',
]
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.CAT',
        arch='small',
        # Images of any size: grids are padded to whole windows, which are of one size.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/cat-small_8xb128_in1k/epoch_300.pth'),
    )
)
