"""UPerNet over the small CAT on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of cat-d6w51_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/upernet_cat-d6w51_digits-seg.py
"""

_base_ = './upernet_swinv2-d6w48_digits-seg.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 2,800 iterations are 7.5 epochs.

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.CAT',
        arch=dict(embed_dims=51, depths=(1, 1), num_heads=(3, 6)),
        img_size=128,
        window_size=4,
        pad_small_map=True,
        drop_path_rate=0.0,
        out_indices=(0, 1),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cat-d6w51_digits-cls/epoch_6.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=dict(in_channels=[51, 102], in_index=[0, 1]),
    auxiliary_head=dict(in_channels=102, in_index=1),
)
