"""Scenes whose classes are colors, of cells as large as a patch, and configs that are probed on
them.
"""

from pathlib import Path

import numpy as np
from PIL import Image

COLORS = np.array([(40, 40, 40), (220, 60, 60), (60, 220, 60)])
SEGMENTOR = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmtoken'], allow_failed_imports=False)
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')]
data = dict(type='BaseSegDataset', data_root={root!r}, img_suffix='.png',
    metainfo=dict(classes=('ground', 'red', 'green')))
halved = [*pipeline[:2], dict(type='Resize', scale=(16, 16)), pipeline[2]]
train_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(pipeline=halved,
    data_prefix=dict(img_path='images/train', seg_map_path='maps/train'), **data))
test_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(pipeline=pipeline,
    data_prefix=dict(img_path='images/test', seg_map_path='maps/test'), **data))
model = dict(type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[128] * 3, std=[64] * 3),
    backbone=dict(type='mmpretrain.TokenViT', img_size=32, patch_size=8, out_type='featmap',
        arch=dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=24),
        init_cfg=dict(type='Pretrained', checkpoint='not_there.pth')))
"""
CLASSIFIER = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmtoken'], allow_failed_imports=False)
data_preprocessor = dict(mean=[128] * 3, std=[64] * 3, to_rgb=False)
model = dict(type='ImageClassifier', backbone=dict({backbone}))
"""
TOKEN_VIT = """type='TokenViT', img_size=16, patch_size=8, out_type='avg_featmap',
    arch=dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=24)"""
RESNET = "type='ResNet', depth=18, out_indices=(0, 1)"


def write_scenes(root: Path, train: int = 12, test: int = 3, classes: int = 3) -> None:
    """Write scenes of 4x4 cells of 8 px, of the first classes."""
    generator = np.random.default_rng(0)
    for split, number in (('train', train), ('test', test)):
        folders = [root / kind / split for kind in ('images', 'maps')]
        for folder in folders:
            folder.mkdir(parents=True)
        for index in range(number):
            labels = np.kron(generator.integers(0, classes, (4, 4)), np.ones((8, 8), int))
            noise = generator.integers(-20, 21, (32, 32, 3))
            pixels = COLORS[labels] + noise
            for folder, content in zip(folders, (pixels, labels), strict=True):
                Image.fromarray(content.astype(np.uint8)).save(folder / f'{index:02}.png')


def write_segmentor(root: Path, path: Path) -> str:
    """Write the config of a segmentor on scenes."""
    path.write_text(SEGMENTOR.format(root=str(root)))
    return str(path)


def write_classifier(path: Path, backbone: str = TOKEN_VIT) -> str:
    """Write the config of a classifier, which knows no scenes."""
    path.write_text(CLASSIFIER.format(backbone=backbone))
    return str(path)
