# Glyph scenes, 1 to 6 glyphs, 128 px, boxes and instance masks of 96 classes. Made by
#   python tools/dataset_converters/glyph_scenes.py --out data/glyph_scenes
# Scenes are in random order: train_dataloader.dataset.indices=300 trains on the first 300.
_base_ = ['./digits_det.py', './glyphs_classes.py']

data_root = 'data/glyph_scenes/detection/'
# Those that the class maps are painted in, background first.
palette = __import__('mmtoken.datasets').datasets.scene_palette(len(_base_.glyph_classes))
metainfo = dict(classes=_base_.glyph_classes, palette=palette[1:])

train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + 'annotations/instances_val.json')
test_evaluator = val_evaluator
