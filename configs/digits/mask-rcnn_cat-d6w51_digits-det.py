"""Mask R-CNN over the small CAT on digit scenes, from its classification weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of cat-d6w51_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/digits/mask-rcnn_cat-d6w51_digits-det.py
"""

_base_ = './mask-rcnn_swinv2-d6w48_digits-det.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 1,600 iterations are 4.3 epochs.

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
    # Strides 4 and 8 of the two stages, 16 to 64 of FPN.
    neck=dict(in_channels=[51, 102]),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8]),
        mask_roi_extractor=dict(featmap_strides=[4, 8]),
    ),
)
