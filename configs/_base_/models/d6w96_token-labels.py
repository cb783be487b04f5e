# The small ViT with a label for every patch, the background among them; images are not mixed, which
# costs more than it brings in so short a training.
_base_ = './d6w96_cls.py'

model = dict(
    type='TokenLabelClassifier',
    mix=None,
    backbone=dict(out_type='raw'),
    head=dict(type='TokenLabelHead', num_token_classes=11),
)
