"""UPerNet over LV-ViT-L on ADE20K, 160k iterations, levels of strides 4, 8, 16 and 16.

Reproduces: 50.9 mean IoU (released code, of 209 M parameters). Its layers, strides and schedule;
    README.md says how levels and norms differ.
Needs: the LV-ViT-L of lv-vit-large_8xb128_in1k.py, trained by you.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 206.9 M parameters, 562 G multiply-adds at 512 px. Training time was not measured.
Command:
bash tools/dist_train.sh configs/lv_vit/lv-vit-large_upernet_8xb2-160k_ade20k-512x512.py 8\
    --amp
"""

_base_ = './lv-vit-small_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.5,
        out_indices=(14, 17, 20, 23),
        init_cfg=dict(checkpoint='work_dirs/lv-vit-large_8xb128_in1k/epoch_310.pth'),
    ),
    neck=dict(in_channels=[768] * 4, out_channels=768),
    decode_head=dict(in_channels=[768] * 4, channels=512),
    auxiliary_head=dict(in_channels=768),
)
