"""Mask R-CNN over DINOv2-B with registers and LoRA on COCO, 100 epochs.

Reproduces: nothing published; our design: the backbone of the config beside it stays as it is,
    and additions of rank 16 to its attention learn.
Needs: dinov2_vitb14_reg4.safetensors, made of the authors' file:
    python tools/model_converters/convert.py dinov2_vitb14_reg4_pretrain.pth \
        dinov2_vitb14_reg4.safetensors
Costs: 112 M parameters; backbone and neck 726 G multiply-adds at 1008 x 1008 px.
    Training time was not measured.
Command: bash tools/dist_train.sh \
configs/foundation/mask-rcnn_lora-dinov2-base_sfp_lsj-100e_coco.py 8 --amp
"""

_base_ = './mask-rcnn_dinov2-base_sfp_lsj-100e_coco.py'
# 117,266 images with objects / (8 x 8) = 1,833 iterations an epoch; x 100 epochs = 183,300.

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.LoRABackbone',
        module=_base_.model.backbone,
        targets=('attn.qkv', 'attn.proj'),
        rank=16,
        alpha=16,
    )
)
# What is added is as new in every layer.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.0))
