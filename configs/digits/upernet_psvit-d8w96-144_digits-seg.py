"""UPerNet over the small PSViT on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of psvit-d8w96-144_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/upernet_psvit-d8w96-144_digits-seg.py
"""

_base_ = './upernet_deit-d6w96_digits-seg.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 2,800 iterations are 7.5 epochs.

stages = [
    dict(depth=4, embed_dims=96, num_heads=3, pattern='FFFS'),
    dict(depth=4, embed_dims=144, num_heads=4, pattern='FSFS'),
]
model = dict(
    backbone=dict(
        type='mmpretrain.PSViT',
        arch=dict(_delete_=True, stages=stages),
        num_aux_tokens=1,
        out_indices=(3, 7),
        # The last two layers share a map: both see the whole scene.
        global_attn_indexes=(6, 7),
        init_cfg=dict(checkpoint='work_dirs/psvit-d8w96-144_digits-cls/epoch_6.pth'),
    ),
    # A true pyramid: UPerNet reads both stages' maps.
    neck=None,
    decode_head=dict(in_channels=[96, 144], in_index=[0, 1]),
    auxiliary_head=dict(in_channels=144, in_index=1),
)
