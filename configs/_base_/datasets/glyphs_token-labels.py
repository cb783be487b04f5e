# Glyph scenes with a label map for every image, from the class maps beside them. Made by
#   python tools/dataset_converters/make_token_labels.py configs/glyphs/life-d6w96_glyphs-cls.py \
#       --from-masks data/glyph_scenes/classification/masks/train --num-classes 96 --grid 16 16 \
#       --out data/glyph_scenes/classification/token_labels
_base_ = './glyphs_cls.py'

_load, _crop, _colors = _base_.train_pipeline[:3]
train_pipeline = [
    _load,
    dict(
        type='LoadTokenLabels',
        store='data/glyph_scenes/classification/token_labels',
        images='data/glyph_scenes/classification/train',
        # The background is the last.
        num_classes=97,
    ),
    dict(type='TrackAffine', transforms=[_crop, _colors]),
    dict(type='PackTokenLabels'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
