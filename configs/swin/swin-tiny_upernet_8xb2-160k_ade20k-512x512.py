"""UPerNet over Swin-T on ADE20K, 160k iterations: it reads the four stages' maps, without a neck.

Reproduces: the setting of the released segmentor, 44.41 mean IoU (*mmsegmentation's config of the
    same backbone*), with our schedule and norms of DeiT's segmentors.
Needs: the weights of swin-tiny_8xb128_in1k.py, trained by you, or mmpretrain's of Swin-T.
Costs: 59.9 M parameters, 237 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/swin-tiny_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = '../deit/deit-tiny_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

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
    neck=None,
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
