"""Mask R-CNN over the small Swin V2 on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of swinv2-d6w48_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/mask-rcnn_swinv2-d6w48_digits-det.py
"""

_base_ = './mask-rcnn_deit-d6w96_digits-det.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

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
    # Strides 4, 8 and 16 of the three stages, 32 and 64 of FPN.
    neck=dict(_delete_=True, type='FPN', in_channels=[48, 96, 192], out_channels=64, num_outs=5),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16]),
        mask_roi_extractor=dict(featmap_strides=[4, 8, 16]),
    ),
)
