"""One scene: the same for the same arguments, and its boxes, masks and class map agree."""

from dataclasses import replace

import numpy as np
import pytest

from mmtoken.datasets import Digits, SceneOptions, render_scene
from mmtoken.datasets import scenes as rendering
from mmtoken.datasets.digits import digit_ids, digit_images
from mmtoken.datasets.scene_options import DIFFICULTIES
from mmtoken.errors import UserError

DIGITS = Digits()
CROWDED = SceneOptions(DIGITS, min_objects=6, max_objects=6, occlusion=0.4)


@pytest.fixture(scope='module')
def scenes():
    return [render_scene(CROWDED, 'detection', 'train', index) for index in range(20)]


def test_same_arguments_draw_the_same_scene():
    first, second = (render_scene(CROWDED, 'detection', 'train', 7) for _ in range(2))

    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.semantic, second.semantic)


@pytest.mark.parametrize(
    'other',
    [
        (CROWDED, 'detection', 'train', 8),
        (CROWDED, 'detection', 'val', 7),
        (CROWDED, 'classification', 'train', 7),
        (replace(CROWDED, seed=1), 'detection', 'train', 7),
    ],
    ids=['index', 'split', 'task', 'seed'],
)
def test_every_argument_opens_another_stream(other):
    scene = render_scene(CROWDED, 'detection', 'train', 7)

    assert not np.array_equal(scene.image, render_scene(*other).image)


def test_boxes_are_tight_around_the_visible_masks(scenes):
    for instance in (instance for scene in scenes for instance in scene.instances):
        left, top, width, height = instance.box
        inside = instance.mask[top : top + height, left : left + width]

        assert inside.sum() == instance.mask.sum()
        assert inside[0].any() and inside[-1].any()
        assert inside[:, 0].any() and inside[:, -1].any()


def test_masks_of_a_scene_do_not_overlap(scenes):
    for scene in scenes:
        assert np.sum([instance.mask for instance in scene.instances], axis=0).max() == 1


def test_class_map_is_the_union_of_the_masks(scenes):
    for scene in scenes:
        for label in range(10):
            masks = [instance.mask for instance in scene.instances if instance.label == label]
            union = np.any(masks, axis=0) if masks else np.zeros(scene.semantic.shape, bool)

            assert np.array_equal(scene.semantic == 1 + label, union)


@pytest.mark.parametrize('occlusion', [0.0, 0.2, 0.6])
def test_no_digit_is_hidden_by_more_than_the_occlusion(monkeypatch, occlusion):
    place, whole_areas = rendering._place, []

    def record(*args):
        coverage = place(*args)
        whole_areas.append((coverage >= 0.5).sum())
        return coverage

    monkeypatch.setattr(rendering, '_place', record)
    options = SceneOptions(DIGITS, min_objects=6, max_objects=6, occlusion=occlusion)

    scenes = [render_scene(options, 'detection', 'train', index) for index in range(10)]

    visible = [instance.mask.sum() for scene in scenes for instance in scene.instances]
    hidden = 1 - np.array(visible) / whole_areas
    assert hidden.max() <= occlusion
    assert hidden.max() > 0.5 * occlusion or occlusion == 0


@pytest.mark.parametrize('split', ['train', 'val'])
def test_digits_come_from_the_split(split):
    for index in range(10):
        for instance in render_scene(CROWDED, 'detection', split, index).instances:
            assert instance.source_id in digit_ids(split, instance.label)
            assert digit_images()[1][instance.source_id] == instance.label


def test_number_of_digits_spans_the_range():
    options = SceneOptions(DIGITS, min_objects=2, max_objects=4)

    counts = {
        len(render_scene(options, 'detection', 'train', index).instances) for index in range(40)
    }

    assert counts == {2, 3, 4}


def test_label_fixes_the_class():
    scene = render_scene(SceneOptions(DIGITS, 64, 1, 1), 'classification', 'val', 0, label=7)

    assert [instance.label for instance in scene.instances] == [7]


@pytest.mark.parametrize('size', [48, 64, 200])
def test_size_is_that_of_image_and_masks(size):
    scene = render_scene(SceneOptions(DIGITS, size, 1, 2), 'detection', 'train', 0)

    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert all(instance.mask.shape == (size, size) for instance in scene.instances)


def test_digits_grow_with_the_image():
    small, large = (SceneOptions(DIGITS, size).object_pixels() for size in (96, 192))

    assert large == pytest.approx([2 * pixels for pixels in small])


@pytest.mark.parametrize('difficulty', DIFFICULTIES)
def test_every_difficulty_draws(difficulty):
    scene = render_scene(SceneOptions(DIGITS, difficulty=difficulty), 'detection', 'train', 0)

    assert scene.instances


def test_easy_digits_stand_out_more_than_hard_ones():
    def contrast(difficulty):
        options = SceneOptions(DIGITS, 64, 1, 1, difficulty=difficulty)
        gaps = []
        for index in range(30):
            scene = render_scene(options, 'classification', 'train', index)
            digit = scene.instances[0].mask
            gap = scene.image[digit].mean(axis=0) - scene.image[~digit].mean(axis=0)
            gaps.append(np.linalg.norm(gap))
        return np.mean(gaps)

    assert contrast('easy') > contrast('hard')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (
            dict(difficulty='brutal'),
            "difficulty 'brutal' is unknown; choose easy, medium, demanding, hard",
        ),
        (dict(min_objects=0), 'min-digits 0 and max-digits 6 do not fit'),
        (dict(min_objects=5, max_objects=4), 'min-digits 5 and max-digits 4 do not fit'),
        (dict(occlusion=1.0), 'occlusion 1.0 is no share'),
        (dict(seed=-1), 'seed -1 is negative'),
        (dict(size=32), 'image size 32 leaves digits of 7 pixels .* a size of 56 or more'),
    ],
)
def test_options_that_make_no_scene_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        SceneOptions(DIGITS, **values)


def test_digits_that_find_no_place_are_refused(monkeypatch):
    monkeypatch.setattr(rendering, 'PLACEMENTS', 0)

    with pytest.raises(
        UserError, match='scene 3 of val has room for only 0 digits, min-digits is 6'
    ):
        render_scene(CROWDED, 'detection', 'val', 3)


def test_digits_are_shrunk_where_the_scene_is_full():
    options = SceneOptions(DIGITS, size=170, min_objects=60, max_objects=60, occlusion=0.0)

    scene = render_scene(options, 'detection', 'train', 0)

    assert len(scene.instances) == 60
