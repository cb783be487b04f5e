"""UPerNet over PSViT-2D-Ti, patches of 8 px, on ADE20K, 160k iterations: a true pyramid, no neck.

Reproduces: nothing published; our design. UPerNet reads the three stages' maps, at the strides 8,
    16 and 32, as it would a Swin's.
Needs: the weights of psvit-2d-tiny-p8_8xb128_in1k.py, trained by you.
Costs: 47.3 M parameters, 75 G multiply-adds at 512 px. Training time was not measured.
Command:
bash tools/dist_train.sh configs/psvit/psvit-2d-tiny-p8_upernet_8xb2-160k_ade20k-512x512.py 8\
    --amp
"""

_base_ = '../deit/deit-tiny_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.PSViT',
        arch='2d-tiny',
        patch_size=8,
        out_indices=(5, 11, 13),
        # 64 x 64 tokens in the first stage, in windows of 16 x 16; all 32 x 32 above attend.
        window_size=16,
        global_attn_indexes=(6, 7, 8, 9, 10, 11, 12, 13),
        init_cfg=dict(checkpoint='work_dirs/psvit-2d-tiny-p8_8xb128_in1k/epoch_300.pth'),
    ),
    neck=None,
    decode_head=dict(in_channels=[192, 384, 512], in_index=[0, 1, 2]),
    auxiliary_head=dict(in_channels=384, in_index=1),
)
