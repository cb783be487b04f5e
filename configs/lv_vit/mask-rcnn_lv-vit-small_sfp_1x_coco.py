"""Mask R-CNN over LV-ViT-S on COCO, 1x.

Reproduces: nothing published to our knowledge; our design, that of DeiT's detectors: windows but
    for four layers, a simple feature pyramid, layer-wise learning rates.
Needs: the LV-ViT-S of lv-vit-small_8xb128_in1k.py, trained by you.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here; no other head, layer decay or attention was better beyond doubt.
Costs: 46.8 M parameters; backbone and neck 247 G multiply-adds at 800 x 1344 px.
    Training time was not measured.
Command:
    bash tools/dist_train.sh configs/lv_vit/mask-rcnn_lv-vit-small_sfp_1x_coco.py 8 --amp
"""

_base_ = '../deit/mask-rcnn_deit-small_sfp_1x_coco.py'
# 117,266 images with objects / (8 x 2) = 7,330 iterations an epoch; x 12 epochs = 87,960.

model = dict(
    backbone=dict(
        type='mmpretrain.LVViT',
        arch='small',
        global_attn_indexes=(3, 7, 11, 15),
        init_cfg=dict(checkpoint='work_dirs/lv-vit-small_8xb128_in1k/epoch_310.pth'),
    )
)
