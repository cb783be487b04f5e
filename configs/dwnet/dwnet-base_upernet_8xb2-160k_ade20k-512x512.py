"""UPerNet over DWNet-B on ADE20K, 160k iterations.

Reproduces: the setting of the released segmentor, 48.3 mean IoU (*released code*), with the group
    norms of our segmentors.
Needs: the weights of dwnet-base_8xb128_in1k.py, trained by you.
Costs: 108 M parameters, 283 G multiply-adds at 512 px. Training time was not measured.
Command:
    bash tools/dist_train.sh configs/dwnet/dwnet-base_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = './dwnet-tiny_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(checkpoint='work_dirs/dwnet-base_8xb128_in1k/epoch_300.pth'),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
