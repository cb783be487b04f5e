"""Label maps are painted over the places that they are of."""

import numpy as np
import torch
from mmpretrain.structures import DataSample

from mmtoken.datasets import scene_palette
from mmtoken.lv_vit.label_picture import paint_labels

RED, GREEN = (np.array(color, float) for color in scene_palette(2)[1:])


def sample(values, ids, source=((1, 0, 0), (0, 1, 0)), kind='share'):
    found = DataSample()
    found.set_field(torch.tensor(values)[None], 'token_label')
    found.set_field(torch.tensor(ids)[None], 'token_label_ids')
    found.set_field(torch.tensor(source, dtype=torch.float), 'token_label_source')
    found.set_field(kind, 'token_label_kind', field_type='metainfo')
    return found


def test_cells_have_the_color_of_their_class_as_opaque_as_it_is_certain():
    white = np.full((200, 200, 3), 255, np.uint8)

    picture = paint_labels(white, sample([[1.0, 0.75], [1.0, 1.0]], [[0, 1], [2, 2]]), ('a', 'b'))

    assert np.allclose(picture[20, 20], RED, atol=2)
    assert np.allclose(picture[20, 180], 0.75 * GREEN + 0.25 * 255, atol=2)
    # The background.
    assert np.array_equal(picture[110:150, 150:], white[110:150, 150:])


def test_cells_lie_where_augmentation_took_them():
    white = np.full((200, 200, 3), 255, np.uint8)
    turned = ((0, 1, 0), (1, 0, 0))  # Axes exchanged: what was at the right is at the bottom.

    picture = paint_labels(white, sample([[1.0, 1.0], [1.0, 1.0]], [[0, 0], [1, 2]], turned), 'ab')

    assert np.allclose(picture[20, 180], GREEN, atol=2)
    assert np.array_equal(picture[110:150, 180], white[110:150, 180])


def test_the_classes_that_win_are_named():
    black = np.zeros((200, 200, 3), np.uint8)
    labels = sample([[0.01] * 2] * 2, [[0, 0], [0, 0]], kind='logit')

    one, two = (paint_labels(black, labels, names) for names in (('a', 'b'), ('wide name', 'b')))

    assert not np.array_equal(one[180:], two[180:])
    assert np.array_equal(one[:100], two[:100])
