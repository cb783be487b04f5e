"""How a map is painted, and the files that it is written to."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from PIL import Image

from mmtoken.errors import UserError
from mmtoken.rollout import Capture, TokenSet, capture, overlay, pictures, roll_maps
from mmtoken.rollout.overlay import image_of

# The colors of matplotlib's inferno for the most and for half of the most.
MOST, HALF = (252, 255, 164), (188, 55, 84)


def shown(image: torch.Tensor) -> Capture:
    """A capture of 8 px patches, without its prediction."""
    model = SimpleNamespace(backbone=SimpleNamespace(patch_size=8))
    return Capture(model, None, [], image, None)


def image(height: int = 8, width: int = 24) -> torch.Tensor:
    """An image of which every pixel has the mean 60, blue first."""
    return torch.tensor([30.0, 50.0, 100.0]).view(3, 1, 1).expand(3, height, width)


@pytest.mark.parametrize('opacity', [None, 0.5])
def test_the_more_attention_the_brighter_and_the_more_opaque_is_the_color(opacity):
    rolled = torch.tensor([[0.2, 0.6, 1.0]])

    options = {} if opacity is None else dict(opacity=opacity)
    picture = overlay(rolled, shown(image()), **options).astype(float)

    # Outside of the outermost centers of tokens, maps are constant; their middle is at 12.
    full = opacity or 0.75
    assert picture.shape == (8, 24, 3)
    assert picture[0, 0].tolist() == [60, 60, 60]
    expected = (1 - full) * 60 + full * np.array(MOST)
    assert np.abs(picture[7, 23] - expected).max() <= 1
    middle = picture[4, 11:13].mean(0)
    expected = (1 - full / 2) * 60 + full / 2 * np.array(HALF)
    assert np.abs(middle - expected).max() <= 3


def test_an_image_has_whole_numbers_of_a_byte():
    pixels = torch.tensor([-3.0, 12.6, 300.0]).view(3, 1, 1)

    assert image_of(shown(pixels)).tolist() == [[[255, 13, 0]]]


def test_a_map_without_differences_leaves_the_image_grey():
    picture = overlay(torch.full((1, 3), 0.3), shown(image()))

    assert (picture == 60).all()


def test_padding_is_not_painted():
    # The third patch of a row is half padding.
    picture = overlay(torch.tensor([[0.2, 0.6, 1.0]]), shown(image(width=20)))

    whole = overlay(torch.tensor([[0.2, 0.6, 1.0]]), shown(image()))
    assert picture.shape == (8, 20, 3)
    # Brightness is that of the map as it is shown, whose strongest pixel is opaque.
    assert picture[0, 19].tolist() == whole[0, 23].tolist()


@pytest.mark.parametrize(
    ('shape', 'side'),
    [((100, 200), (400, 800)), ((320, 400), (320, 400)), ((319, 900), (638, 1800))],
)
def test_small_pictures_are_enlarged_by_a_whole_factor(tmp_path, shape, side):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

    pictures.save_overlay(picture, tmp_path / 'picture.png')

    with Image.open(tmp_path / 'picture.png') as saved:
        pixels = np.asarray(saved)
    factor = side[0] // shape[0]
    assert pixels.shape == (*side, 3)
    assert np.array_equal(pixels[::factor, ::factor], picture)
    assert np.array_equal(pixels[factor - 1 :: factor, factor - 1 :: factor], picture)


@pytest.mark.parametrize(
    ('names', 'files'),
    [
        (['sky', 'tree/bush', 'cat'], ['scene_cat.png', 'scene_tree-bush.png']),
        ([], ['scene_2.png', 'scene_1.png']),
    ],
)
def test_a_picture_a_set_is_written(build, image_data, tmp_path, names, files):
    taken = capture(build('classifier'), image_data('classifier', 32, 32))
    sets = [TokenSet(label, torch.eye(17)[3 * label]) for label in (2, 1)]

    pictures.save_overlays(taken, sets, names, tmp_path, 'scene')

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
    for file, rolled in zip(files, roll_maps(taken, sets), strict=True):
        with Image.open(tmp_path / file) as saved:
            assert np.array_equal(np.asarray(saved)[::10, ::10], overlay(rolled, taken))


def test_an_image_that_the_model_cannot_take_is_named(build, tmp_path):
    init_default_scope('mmpretrain')
    Image.new('RGB', (32, 32)).save(tmp_path / 'scene.png')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    cfg = ConfigDict(test_dataloader=dict(dataset=dict(type='BaseDataset', pipeline=pipeline)))
    model = build('classifier', in_channels=4)

    with pytest.raises(
        UserError, match=r"^image '.*scene\.png': the image has shape \(3, 32, 32\)"
    ):
        pictures.capture_image(model, cfg, tmp_path / 'scene.png')
