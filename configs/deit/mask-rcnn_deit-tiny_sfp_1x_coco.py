"""Mask R-CNN over DeiT-T on COCO, 1x: the baseline of the LIFE-DeiT-T detector.

Reproduces: nothing published; our design, after ViTDet (four global layers among windowed ones,
    a simple feature pyramid, layer-wise learning rates). The paper's detector is not public.
Needs: the DeiT-T of deit-tiny_8xb64_in1k.py, trained by you, or public ones (README.md).
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here; no other head, layer decay or attention was better beyond doubt.
Costs: 25.9 M parameters; backbone and neck 107 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command: bash tools/dist_train.sh configs/deit/mask-rcnn_deit-tiny_sfp_1x_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/mask-rcnn_token-vit.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/coco_1x_adamw.py',
    '../_base_/default_runtime.py',
]
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        # 800 x 1333 px are 50 x 84 patches: attention stays in 10 x 10 windows but for four layers.
        # Windows of 14 would pad 50 to 56.
        window_size=10,
        global_attn_indexes=(2, 5, 8, 11),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/deit-tiny_8xb64_in1k/epoch_300.pth',
            prefix='backbone.',
        ),
    ),
)
