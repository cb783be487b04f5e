"""UPerNet over DeiT-T on ADE20K, 160k iterations: the baseline of the LIFE-DeiT-T segmentor.

Reproduces: nothing published; our design (one map, a simple feature pyramid, layer-wise learning
    rates). The paper segments Cityscapes with a head that is not public.
Needs: the DeiT-T of deit-tiny_8xb64_in1k.py, trained by you, or public ones (README.md).
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 37.3 M parameters, 236 G multiply-adds at 512 px. Training time was not measured.
Command: bash tools/dist_train.sh configs/deit/deit-tiny_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = [
    '../_base_/models/upernet_token-vit.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_160k_adamw.py',
    '../_base_/default_runtime.py',
]
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        img_size=512,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/deit-tiny_8xb64_in1k/epoch_300.pth',
            prefix='backbone.',
        ),
    ),
    # Windows of the training size: attention meets the same grid in both.
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=16000)
)
