"""UPerNet over DWNet-T on ADE20K, 160k iterations.

Reproduces: the setting of the released segmentor, 45.5 mean IoU (*released code*), with the group
    norms of our segmentors.
Needs: the weights of dwnet-tiny_8xb128_in1k.py, trained by you.
Costs: 55.8 M parameters, 232 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/dwnet/dwnet-tiny_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
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
        type='mmpretrain.DWNet',
        drop_path_rate=0.3,
        # As in the released code: norms over all processes, grids padded to whole windows.
        block_norm_cfg=dict(type='SyncBN'),
        out_norm_cfg=dict(type='SyncBN'),
        pad_to_window=True,
        init_cfg=dict(checkpoint='work_dirs/dwnet-tiny_8xb128_in1k/epoch_300.pth'),
    )
)
