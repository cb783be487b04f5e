"""Mask R-CNN over Swin-T on COCO, 1x: the four stages' maps in mmdet's own FPN.

Reproduces: the setting of the released detectors, 42.7 box AP and 39.3 mask AP (*mmdet's config of
    the same name*), with our schedule of DeiT's detectors.
Needs: the weights of swin-tiny_8xb128_in1k.py, trained by you, or mmpretrain's of Swin-T.
Costs: 47.8 M parameters; backbone and neck 155 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/mask-rcnn_swin-tiny_fpn_1x_coco.py 8 --amp
"""

_base_ = '../deit/mask-rcnn_deit-tiny_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.Swin',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/swin-tiny_8xb128_in1k/epoch_300.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(
        _delete_=True, type='FPN', in_channels=[96, 192, 384, 768], out_channels=256, num_outs=5
    ),
)
