"""The small LIFE-ViT on single-glyph scenes, the last third of whose training calibrates it.

Reproduces: our own small study (docs/study); no paper.
Needs: label maps of the glyph scenes, which say where the glyph is; their class maps make them in
    seconds (_base_/datasets/glyphs_token-labels.py has the command).
Costs: not measured; schedule and images are those of life-d6w96_glyphs-cls.py.
Command: python tools/train.py configs/glyphs/calibrated-life-d6w96_glyphs-cls.py
"""

_base_ = './calibrated-deit-d6w96_glyphs-cls.py'
# 12,000 images / 32 = 375 iterations an epoch; 3,000 iterations are 8 epochs.

model = dict(backbone=dict(type='LIFEViT'))
