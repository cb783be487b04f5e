"""Mask R-CNN over PSViT-2D-Ti with patches of 8 px on COCO, 1x: a true pyramid, mmdet's own FPN.

Reproduces: nothing published; our design. The three stages give the strides 8, 16 and 32, FPN two
    more; anchors are as large as those of a pyramid from stride 4.
Needs: the weights of psvit-2d-tiny-p8_8xb128_in1k.py, trained by you.
Costs: 40.3 M parameters; backbone and neck 143 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/psvit/mask-rcnn_psvit-2d-tiny-p8_fpn_1x_coco.py 8 --amp
"""

_base_ = '../deit/mask-rcnn_deit-tiny_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        type='mmpretrain.PSViT',
        arch='2d-tiny',
        patch_size=8,
        out_indices=(5, 11, 13),
        # 16,800 tokens at stride 8, 4,200 at 16, 1,050 at 32; a layer that shares has its source's.
        global_attn_indexes=(10, 11, 12, 13),
        init_cfg=dict(checkpoint='work_dirs/psvit-2d-tiny-p8_8xb128_in1k/epoch_300.pth'),
    ),
    neck=dict(_delete_=True, type='FPN', in_channels=[192, 384, 512], out_channels=256, num_outs=5),
    rpn_head=dict(anchor_generator=dict(scales=[4], strides=[8, 16, 32, 64, 128])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[8, 16, 32]),
        mask_roi_extractor=dict(featmap_strides=[8, 16, 32]),
    ),
)
