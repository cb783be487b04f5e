"""UPerNet over the small LIFE-ViT on digit scenes, from class weights: the demo's segmentor.

Reproduces: our own small study (docs/study); no paper.
Needs: the weights of life-d6w96_digits-cls.py, for which the demo takes those of
    token-label-life-d6w96_digits-cls.py; model.backbone.init_cfg=None starts without.
Costs: 8 to 11 minutes on one CPU core beside another training, measured here.
Command: python tools/train.py configs/digits/upernet_life-d6w96_digits-seg.py
"""

_base_ = './upernet_deit-d6w96_digits-seg.py'
# 1,500 scenes / 4 = 375 iterations an epoch; 2,800 iterations are 7.5 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        # LIFE's convolutions see beyond a window.
        global_attn_indexes=(),
        init_cfg=dict(checkpoint='work_dirs/life-d6w96_digits-cls/epoch_6.pth'),
    )
)
