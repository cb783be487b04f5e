# Digit scenes with a label map for every image, from the class maps beside them. Made by
#   python tools/dataset_converters/make_token_labels.py configs/digits/life-d6w96_digits-cls.py \
#       --from-masks data/digit_scenes/classification/masks/train --num-classes 10 --grid 16 16 \
#       --out data/digit_scenes/classification/token_labels
_base_ = './digits_cls.py'

_load, _crop, _colors = _base_.train_pipeline[:3]
train_pipeline = [
    _load,
    dict(
        type='LoadTokenLabels',
        store='data/digit_scenes/classification/token_labels',
        images='data/digit_scenes/classification/train',
        # The background is the last.
        num_classes=11,
    ),
    dict(type='TrackAffine', transforms=[_crop, _colors]),
    dict(type='PackTokenLabels'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
