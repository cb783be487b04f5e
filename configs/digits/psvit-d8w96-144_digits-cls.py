"""A small PSViT (4 layers of 96 channels, then 4 of 144 over a quarter of the tokens, three of them
sharing) on single-digit scenes, at the multiply-adds of the plain ViT.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured; schedule and images are those of deit-d6w96_digits-cls.py.
Command: python tools/train.py configs/digits/psvit-d8w96-144_digits-cls.py
"""

_base_ = './deit-d6w96_digits-cls.py'
# 6,000 images / 32 = 188 iterations an epoch; x 6 epochs = 1,128.

stages = [
    dict(depth=4, embed_dims=96, num_heads=3, pattern='FFFS'),
    dict(depth=4, embed_dims=144, num_heads=4, pattern='FSFS'),
]
model = dict(
    backbone=dict(type='PSViT', arch=dict(_delete_=True, stages=stages), num_aux_tokens=1),
    head=dict(in_channels=144),
)
