# The small ViT with a label for every patch, the background among them.
_base_ = './d6w96_cls.py'

model = dict(
    type='TokenLabelClassifier',
    # Mixing costs more than it brings in so short a training; prob=1.0 mixes.
    mix=dict(type='MixToken', prob=0.0),
    backbone=dict(out_type='raw'),
    head=dict(type='TokenLabelHead', num_token_classes=11),
)
