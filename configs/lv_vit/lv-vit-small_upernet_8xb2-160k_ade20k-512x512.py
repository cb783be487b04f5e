"""UPerNet over LV-ViT-S on ADE20K, 160k iterations, levels of strides 4, 8, 16 and 16.

Reproduces: 47.9 mean IoU (released code, of 44 M parameters). Its layers, strides and schedule;
    README.md says how levels and norms differ.
Needs: the LV-ViT-S of lv-vit-small_8xb128_in1k.py, trained by you.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 40.6 M parameters, 132 G multiply-adds at 512 px. Training time was not measured.
Command:
bash tools/dist_train.sh configs/lv_vit/lv-vit-small_upernet_8xb2-160k_ade20k-512x512.py 8\
    --amp
"""

_base_ = '../deit/deit-small_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LVViT',
        arch='small',
        out_indices=(6, 9, 12, 15),
        init_cfg=dict(checkpoint='work_dirs/lv-vit-small_8xb128_in1k/epoch_310.pth'),
    ),
    neck=dict(
        _delete_=True,
        type='MultiLevelNeck',
        in_channels=[384] * 4,
        out_channels=384,
        scales=[4, 2, 1, 1],
        norm_cfg=_base_.norm_cfg,
        act_cfg=dict(type='ReLU'),
    ),
    decode_head=dict(in_channels=[384] * 4, channels=256),
    auxiliary_head=dict(in_channels=384),
)
optim_wrapper = dict(
    optimizer=dict(lr=6e-5, weight_decay=0.01), paramwise_cfg=dict(layer_decay_rate=1.0)
)
