"""Colors of any number of classes."""

import pytest

from mmtoken.datasets import scene_palette


@pytest.mark.parametrize('classes', [10, 96, 255])
def test_every_class_has_a_color_of_its_own(classes):
    palette = scene_palette(classes)

    assert len(palette) == len(set(palette)) == 1 + classes
    assert all(0 <= value <= 255 for color in palette for value in color)


def test_colors_do_not_depend_on_the_number_of_classes():
    assert scene_palette(40) == scene_palette(96)[:41]
