# Glyph scenes, 1 to 6 glyphs, 128 px, background and 96 classes. Made by
#   python tools/dataset_converters/glyph_scenes.py --out data/glyph_scenes
# Scenes are in random order: train_dataloader.dataset.indices=300 trains on the first 300.
_base_ = ['./digits_seg.py', './glyphs_classes.py']

data_root = 'data/glyph_scenes/segmentation/'
# Those that the class maps are painted in, background first.
palette = __import__('mmtoken.datasets').datasets.scene_palette(len(_base_.glyph_classes))
metainfo = dict(classes=('background', *_base_.glyph_classes), palette=palette)

train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
