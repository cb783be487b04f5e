"""UPerNet over Swin V2-T on ADE20K, 160k iterations: the baseline of LIFE's.

Reproduces: nothing published; the segmentor of our Swin-T, but for a drop path of 0.2.
Needs: the weights of swinv2-tiny-w8_8xb128_in1k-256px.py, trained by you.
Costs: 60.0 M parameters, 235 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/swin/swinv2-tiny-w8_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
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
        type='mmpretrain.SwinV2',
        img_size=256,
        # Images of any size: windows are padded, and shifted in the smallest maps too.
        pad_small_map=True,
        init_cfg=dict(checkpoint='work_dirs/swinv2-tiny-w8_8xb128_in1k-256px/epoch_300.pth'),
    )
)
