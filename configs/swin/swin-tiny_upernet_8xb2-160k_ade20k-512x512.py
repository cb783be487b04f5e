"""UPerNet over Swin-T on ADE20K, 160k iterations: it reads the four stages' maps, without a neck.

Reproduces: the setting of the released segmentor, 44.41 mean IoU (*mmsegmentation's config of the
    same backbone*), with the group norms of our segmentors.
Needs: the weights of swin-tiny_8xb128_in1k.py, trained by you, or mmpretrain's of Swin-T.
Costs: 59.9 M parameters, 237 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/swin-tiny_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = [
    '../_base_/models/upernet_pyramid.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_160k_adamw_swin.py',
    '../_base_/default_runtime.py',
]
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.Swin',
        drop_path_rate=0.3,
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/swin-tiny_8xb128_in1k/epoch_300.pth'),
    )
)
