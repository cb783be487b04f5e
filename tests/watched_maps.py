"""Runs over maps of labels."""

from copy import deepcopy

import numpy as np
from malformed_images import encoded, picture
from PIL import Image
from torch import nn
from watched_runs import Mean, write_images

SEGMENTATION = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


class Boxes(Mean):
    """A model that takes what mmdet packs."""

    def forward(self, inputs, data_samples=None, mode='loss'):
        if not hasattr(inputs, 'mean'):
            inputs = inputs[0][None].float()
        return super().forward(inputs, data_samples, mode)


def labels(*values, size=(24, 20), dtype=np.uint8):
    """The file of a map of labels."""
    content = np.zeros(size, dtype)
    content[0, : len(values)] = values
    return encoded(Image.fromarray(content), 'PNG')


def segmentation(folder, maps, **options):
    """The config of a data set of maps of labels, each with an image of 20x24 pixels."""
    images = {f'{n}.png': encoded(picture((20, 24)), 'PNG') for n in range(len(maps))}
    write_images(folder / 'images', images)
    write_images(folder / 'maps', {f'{n}.png': content for n, content in enumerate(maps)})
    return dict(
        type='BaseSegDataset',
        img_suffix='.png',
        data_prefix=dict(img_path=str(folder / 'images'), seg_map_path=str(folder / 'maps')),
        metainfo=dict(classes=('a', 'b', 'c')),
        pipeline=deepcopy(SEGMENTATION),
        serialize_data=False,
        **options,
    )


class Maps(Boxes):
    """A model with a head of three classes on maps of labels."""

    def __init__(self, ignored=255):
        super().__init__()
        self.decode_head = nn.Identity()
        self.decode_head.num_classes, self.decode_head.ignore_index = 3, ignored
