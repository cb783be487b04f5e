"""The textures of training and validation do not touch."""

import pytest

from mmtoken.datasets.textures import TEXTURES, texture, texture_columns


def test_texture_columns_of_the_splits_keep_a_gap():
    train_start, train_stop = texture_columns('train', 512)
    val_start, val_stop = texture_columns('val', 512)

    assert (train_start, val_stop) == (0, 512)
    assert val_start - train_stop == 32


@pytest.mark.parametrize('name', TEXTURES)
@pytest.mark.parametrize('split', ['train', 'val'])
def test_texture_is_wider_than_the_largest_crop_of_a_default_scene(name, split):
    part = texture(name, split)

    assert min(part.shape) >= 1.25 * 128
    assert 0 <= part.min() < part.max() <= 1
