"""UPerNet over the small DWNet on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of dwnet-d6w52_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/upernet_dwnet-d6w52_digits-seg.py
"""

_base_ = './upernet_swinv2-d6w48_digits-seg.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 2,800 iterations are 7.5 epochs.

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.DWNet',
        arch=dict(embed_dims=52, depths=(2, 2, 2), group_channels=(4, 8, 16)),
        img_size=128,
        window_size=7,
        drop_path_rate=0.0,
        out_indices=(0, 1, 2),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/dwnet-d6w52_digits-cls/epoch_6.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=dict(in_channels=[52, 104, 208]),
    auxiliary_head=dict(in_channels=208),
)
