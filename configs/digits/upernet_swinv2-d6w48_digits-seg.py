"""UPerNet over the small Swin V2 on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of swinv2-d6w48_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/upernet_swinv2-d6w48_digits-seg.py
"""

_base_ = './upernet_deit-d6w96_digits-seg.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 2,800 iterations are 7.5 epochs.

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinV2',
        arch=dict(embed_dims=48, depths=(2, 2, 2), num_heads=(3, 6, 12)),
        img_size=128,
        window_size=4,
        pad_small_map=True,
        drop_path_rate=0.0,
        out_indices=(0, 1, 2),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/swinv2-d6w48_digits-cls/epoch_6.pth',
            prefix='backbone.',
        ),
    ),
    # A true pyramid: UPerNet reads the stages' maps.
    neck=None,
    decode_head=dict(in_channels=[48, 96, 192], in_index=[0, 1, 2]),
    auxiliary_head=dict(in_channels=192, in_index=2),
)
