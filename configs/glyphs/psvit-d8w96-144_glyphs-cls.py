"""A small PSViT (4 layers of 96 channels, then 4 of 144 over a quarter of the tokens, three of them
sharing) on single-glyph scenes of 96 classes, at the multiply-adds of the plain ViT.

Reproduces: our own small study (docs/study); no paper.
Costs: not measured.
Command: python tools/train.py configs/glyphs/psvit-d8w96-144_glyphs-cls.py
"""

_base_ = './deit-d6w96_glyphs-cls.py'
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

stages = [
    dict(depth=4, embed_dims=96, num_heads=3, pattern='FFFS'),
    dict(depth=4, embed_dims=144, num_heads=4, pattern='FSFS'),
]
model = dict(
    backbone=dict(type='PSViT', arch=dict(_delete_=True, stages=stages), num_aux_tokens=1),
    head=dict(in_channels=144),
)
