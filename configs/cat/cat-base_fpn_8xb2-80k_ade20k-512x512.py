"""Semantic FPN over CAT-B on ADE20K, 80k iterations.

Reproduces: the setting of the released segmentor, 42.2 mean IoU (*released code*), with group norm
    in the head.
Needs: the weights of cat-base_8xb128_in1k.py, trained by you.
Costs: 55.1 M parameters, 72.8 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/cat/cat-base_fpn_8xb2-80k_ade20k-512x512.py 8 --amp
"""

_base_ = './cat-small_fpn_8xb2-80k_ade20k-512x512.py'
# 80,000 iterations x (8 x 2) images / 20,210 images = 63.3 epochs.

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(checkpoint='work_dirs/cat-base_8xb128_in1k/epoch_300.pth'),
    )
)
