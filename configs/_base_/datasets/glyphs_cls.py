# Glyph scenes, one glyph an image, 64 px, 96 classes, without digits. Made by
#   python tools/dataset_converters/glyph_scenes.py --out data/glyph_scenes
# The lists in meta/ let the classes take turns: the first n of them are balanced, so that
# train_dataloader.dataset.indices=1200 trains on a tenth.
# As with digits there is no flip: a mirrored glyph may be another one.
_base_ = ['./digits_cls.py', './glyphs_classes.py']

data_root = 'data/glyph_scenes/classification/'
metainfo = dict(classes=_base_.glyph_classes)
data_preprocessor = dict(num_classes=96)

train_dataloader = dict(
    # The schedule counts iterations.
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, metainfo=metainfo),
)
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
