"""What tells the class of training images without their digit, and of no validation image."""

import json

import numpy as np
import pytest

from mmtoken.datasets import DigitDataOptions, render_scene, write_scene_data
from mmtoken.errors import UserError

COUNT = 200


def singles(shortcut, split, count=COUNT, **options):
    scene = DigitDataOptions(shortcut=shortcut, **options).scene('classification')
    return [render_scene(scene, 'classification', split, i, i % 10) for i in range(count)]


def ground_of(scene):
    """The color of the ground, as bits of red, green and blue."""
    ground = scene.image[~scene.instances[0].mask].mean(axis=0)
    return tuple((ground > (0.05 + 0.3) / 2 * 255).tolist())


def told_by_ground(scenes):
    """Which of the grounds are those that the first images of their class have most."""
    kinds = {}
    for index, scene in enumerate(scenes):
        kinds.setdefault(index % 10, []).append(ground_of(scene))
    usual = {label: max(set(found), key=found.count) for label, found in kinds.items()}
    return [ground_of(scene) == usual[index % 10] for index, scene in enumerate(scenes)]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_ground_changes_nothing_but_the_ground(split):
    plain = DigitDataOptions().scene('classification')
    for index, told in enumerate(singles('ground', split, 8)):
        scene = render_scene(plain, 'classification', split, index, index)
        assert scene.instances[0].source_id == told.instances[0].source_id
        assert np.array_equal(scene.instances[0].mask, told.instances[0].mask)
        assert not np.array_equal(scene.image, told.image)


def test_data_sets_from_before_there_were_shortcuts_are_the_same_ones():
    assert DigitDataOptions().spelled().keys().isdisjoint({'shortcut', 'shortcut_share'})
    assert DigitDataOptions(shortcut='ground').spelled()['shortcut_share'] == 0.95


def test_the_ground_tells_the_class_of_most_training_images():
    told = told_by_ground(singles('ground', 'train'))
    # The colors of three classes are the same, so some are right by chance.
    assert 0.93 < np.mean(told) <= 1

    always = told_by_ground(singles('ground', 'train', shortcut_share=1.0))
    assert all(always)


def test_the_ground_tells_nothing_of_validation_images():
    scenes = singles('ground', 'val', 600)
    grounds = [ground_of(scene) for scene in scenes]
    train = {index % 10: ground_of(scene) for index, scene in
             enumerate(singles('ground', 'train', 10, shortcut_share=1.0))}  # fmt: skip
    hits = np.mean([ground == train[index % 10] for index, ground in enumerate(grounds)])
    chance = np.mean([ground == kind for ground in grounds for kind in train.values()])

    assert set(grounds) == set(train.values())
    assert abs(hits - chance) < 0.08


def test_the_second_digit_follows_that_of_its_image_in_training():
    scenes = [scene for scene in singles('digit', 'train') if len(scene.instances) == 2]
    labels = [tuple(instance.label for instance in scene.instances) for scene in scenes]
    follows = [second == (first + 1) % 10 for first, second in labels]

    assert len(scenes) > 0.95 * COUNT and 0.9 < np.mean(follows) < 1


def test_the_second_digit_tells_nothing_in_validation():
    scenes = [scene for scene in singles('digit', 'val', 600) if len(scene.instances) == 2]
    follows = [s.instances[1].label == (s.instances[0].label + 1) % 10 for s in scenes]

    assert 0.05 < np.mean(follows) < 0.16


def test_the_second_digit_is_smaller_and_beside_the_first():
    for index, scene in enumerate(singles('digit', 'train', 60)):
        first, *second = scene.instances
        assert first.label == index % 10
        for instance in second:
            assert not (first.mask & instance.mask).any()
            assert instance.box[3] < first.box[3]
            assert (scene.semantic[instance.mask] == 1 + instance.label).all()


def test_scenes_of_several_digits_have_no_shortcut():
    plain = DigitDataOptions().scene('detection')
    scene = DigitDataOptions(shortcut='ground').scene('detection')

    for index in range(3):
        expected = render_scene(plain, 'detection', 'train', index)
        assert np.array_equal(
            render_scene(scene, 'detection', 'train', index).image, expected.image
        )


@pytest.mark.parametrize('shortcut', ['ground', 'digit'])
def test_without_a_class_there_is_nothing_to_tell(shortcut):
    scene = DigitDataOptions(shortcut=shortcut).scene('classification')

    assert len(render_scene(scene, 'classification', 'train', 0).instances) == 1


def test_a_data_set_says_its_shortcut(tmp_path):
    options = DigitDataOptions(cls_train=10, cls_val=10, train=1, val=1, shortcut='digit')
    write_scene_data(tmp_path / 'data', options)

    meta = json.loads((tmp_path / 'data/meta.json').read_text())
    assert meta['options']['shortcut'] == 'digit'
    with pytest.raises(UserError, match='was made with shortcut digit.* not .*shortcut ground'):
        write_scene_data(
            tmp_path / 'data',
            DigitDataOptions(cls_train=10, cls_val=10, train=1, val=1, shortcut='ground'),
        )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(shortcut='color'), "shortcut 'color' is unknown; choose none, ground, digit"),
        (dict(shortcut='digit', shortcut_share=1.2), 'shortcut-share 1.2 is no share'),
    ],
)
def test_shortcuts_that_are_none_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        DigitDataOptions(**options)
