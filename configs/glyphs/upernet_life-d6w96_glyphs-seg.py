"""UPerNet over the small LIFE-ViT on glyph scenes of 96 classes, from its class weights.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of life-d6w96_glyphs-cls.py; model.backbone.init_cfg=None starts without.
Costs: not measured.
Command: python tools/train.py configs/glyphs/upernet_life-d6w96_glyphs-seg.py
"""

_base_ = [
    '../_base_/models/upernet_d6w96.py',
    '../_base_/datasets/glyphs_seg.py',
    '../_base_/schedules/digits_dense_adamw.py',
    '../_base_/default_runtime.py',
]
# 1,500 scenes / 4 = 375 iterations an epoch; 2,000 iterations are 5.3 epochs.

head = dict(num_classes=97, loss_decode=dict(class_weight=[0.3] + [1.0] * 96))
model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        # LIFE's convolutions see beyond a window.
        global_attn_indexes=(),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/life-d6w96_glyphs-cls/iter_3000.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=head,
    auxiliary_head=head,
)
optim_wrapper = dict(optimizer=dict(lr=7.5e-4))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=250))
