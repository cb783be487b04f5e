# ViTDet's Mask R-CNN (arXiv 2203.16527): windows but for four layers, max pooling in the pyramid,
# two convolutions in the RPN, four and one linear layer in the box head, layer norm in all heads.
# Windows are of 16, not of 14, which would pad 64 x 64 patches to 70 x 70, and auxiliary tokens
# are kept; there are no relative positions, which ViTDet learns on COCO alone.
_base_ = './mask-rcnn_token-vit.py'

_norm = dict(type='mmpretrain.LN2d', eps=1e-6)
model = dict(
    # All images, of training and of tests, become of this side, so that all grids are alike.
    data_preprocessor=dict(pad_size_divisor=1024),
    backbone=dict(
        window_size=16,
        global_attn_indexes=(2, 5, 8, 11),
        # Eight images of 1,024 px are 33,000 tokens.
        with_cp=True,
    ),
    neck=dict(down='pool'),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=_norm),
        mask_head=dict(norm_cfg=_norm),
    ),
)
