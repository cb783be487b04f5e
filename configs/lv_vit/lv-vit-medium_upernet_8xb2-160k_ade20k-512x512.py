"""UPerNet over LV-ViT-M on ADE20K, 160k iterations, levels of strides 4, 8, 16 and 16.

Reproduces: 49.4 mean IoU (released code, of 77 M parameters). Its layers, strides and schedule;
    README.md says how levels and norms differ.
Needs: the LV-ViT-M of lv-vit-medium_8xb128_in1k.py, trained by you.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 75.6 M parameters, 196 G multiply-adds at 512 px. Training time was not measured.
Command:
bash tools/dist_train.sh configs/lv_vit/lv-vit-medium_upernet_8xb2-160k_ade20k-512x512.py 8\
    --amp
"""

_base_ = './lv-vit-small_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        arch='medium',
        drop_path_rate=0.2,
        out_indices=(10, 13, 16, 19),
        init_cfg=dict(checkpoint='work_dirs/lv-vit-medium_8xb128_in1k/epoch_310.pth'),
    ),
    neck=dict(in_channels=[512] * 4, out_channels=512),
    decode_head=dict(in_channels=[512] * 4, channels=256),
    auxiliary_head=dict(in_channels=512),
)
