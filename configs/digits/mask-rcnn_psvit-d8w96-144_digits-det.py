"""Mask R-CNN over the small PSViT on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of psvit-d8w96-144_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/mask-rcnn_psvit-d8w96-144_digits-det.py
"""

_base_ = './mask-rcnn_deit-d6w96_digits-det.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

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
    # Strides 8 and 16 of the two stages, 32 and 64 of FPN.
    neck=dict(_delete_=True, type='FPN', in_channels=[96, 144], out_channels=64, num_outs=4),
    rpn_head=dict(anchor_generator=dict(scales=[2], strides=[8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[8, 16]),
        mask_roi_extractor=dict(featmap_strides=[8, 16]),
    ),
)
