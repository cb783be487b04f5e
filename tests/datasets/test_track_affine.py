"""The matrix says where each place of an augmented image was: seen by augmenting coordinates."""

import pickle

import cv2
import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

from mmtoken.errors import UserError

HEIGHT, WIDTH = 60, 84
WARPED = dict(prob=1.0, interpolation='bilinear', pad_val=0)
# The largest error in pixels: OpenCV places warped pixels to a 32nd, and resizing repeats the edge.
CASES = {
    'flip': ([dict(type='RandomFlip', prob=1.0, direction='horizontal')], 1e-3),
    'flip down': ([dict(type='RandomFlip', prob=1.0, direction='vertical')], 1e-3),
    'flip both': ([dict(type='RandomFlip', prob=1.0, direction='diagonal')], 1e-3),
    'perhaps flip': ([dict(type='RandomFlip', prob=0.5)], 1e-3),
    'resized crop': ([dict(type='RandomResizedCrop', scale=(48, 64))], 0.5),
    'efficient crop': ([dict(type='EfficientNetRandomCrop', scale=48, crop_padding=0)], 0.5),
    'crop': ([dict(type='RandomCrop', crop_size=32, padding=4)], 1e-3),
    'crop with sides': ([dict(type='RandomCrop', crop_size=32, padding=(1, 2, 3, 4))], 1e-3),
    'crop of more': (
        [dict(type='RandomCrop', crop_size=101, pad_if_needed=True, padding=(3, 1))], 1e-3,
    ),
    'center': ([dict(type='CenterCrop', crop_size=(31, 40))], 1e-3),
    'center of more': ([dict(type='CenterCrop', crop_size=(90, 40), auto_pad=True)], 1e-3),
    'resize': ([dict(type='Resize', scale=(70, 33))], 1e-3),
    'resize, sides kept in proportion': (
        [dict(type='Resize', scale=(70, 33), keep_ratio=True)], 1e-3,
    ),
    'resize by factors': (
        [dict(type='Resize', scale_factor=(0.75, 1.3), interpolation='lanczos')], 0.05,
    ),
    'flip somehow': (
        [dict(type='RandomFlip', prob=[0.3, 0.3, 0.3],
              direction=['horizontal', 'vertical', 'diagonal'])], 1e-3,
    ),
    'RandAugment': (
        [dict(type='RandAugment', num_policies=3, magnitude_level=9, total_level=10, policies=[
            dict(type='Rotate', magnitude_range=(0, 20), **WARPED),
            dict(type='Shear', magnitude_range=(0, 0.2), **WARPED),
            dict(type='Shear', magnitude_range=(0, 0.2), direction='vertical', **WARPED),
            dict(type='Translate', magnitude_range=(0, 0.1), **WARPED),
            dict(type='Translate', magnitude_range=(0, 0.1), direction='vertical', **WARPED),
        ])], 0.1,
    ),
    'AutoAugment': (
        [dict(type='AutoAugment', policies=[
            [dict(type='Rotate', angle=12.0, **WARPED), dict(type='RandomFlip', prob=1.0)],
            [dict(type='Shear', magnitude=0.1, **WARPED), dict(type='Resize', scale=(70, 33))],
        ])], 0.1,
    ),
    'resize edge': ([dict(type='ResizeEdge', scale=50)], 1e-3),
    'pad': ([dict(type='Pad', size=(100, 70))], 1e-3),
    'rotate': ([dict(type='Rotate', angle=20.0, **WARPED)], 0.05),
    'rotate about': (
        [dict(type='Rotate', angle=9.0, center=(10.0, 4.0), scale=1.1, **WARPED)], 0.05,
    ),
    'shear': ([dict(type='Shear', magnitude=0.2, **WARPED)], 0.05),
    'shear down': ([dict(type='Shear', magnitude=0.2, direction='vertical', **WARPED)], 0.05),
    'translate': ([dict(type='Translate', magnitude=0.17, **WARPED)], 0.05),
    'translate down': (
        [dict(type='Translate', magnitude=0.17, direction='vertical', **WARPED)], 0.05,
    ),
    'all': (
        [
            dict(type='RandomFlip', prob=0.5),
            dict(type='Rotate', angle=20.0, **WARPED),
            dict(type='Translate', magnitude=0.1, **WARPED),
            dict(type='RandomResizedCrop', scale=(48, 64), crop_ratio_range=(0.5, 1.0)),
        ],
        0.5,
    ),
    'of a choice': (
        [dict(type='RandomApply', prob=0.5, transforms=[dict(type='RandomFlip', prob=1.0)])], 1e-3,
    ),
}  # fmt: skip


def coordinates():
    """(HEIGHT, WIDTH, 3): x and y of each pixel's center from 0 to 1, and 1."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ones = np.ones((HEIGHT, WIDTH))
    return np.stack([(columns + 0.5) / WIDTH, (rows + 0.5) / HEIGHT, ones], -1).astype(np.float32)


def track(transforms, seed, image=None):
    np.random.seed(seed)
    tracked = TRANSFORMS.build(dict(type='TrackAffine', transforms=transforms))
    image = coordinates() if image is None else image
    return tracked(dict(img=image, img_shape=image.shape[:2]))


def centers(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([(columns + 0.5) / width, (rows + 0.5) / height, np.ones((height, width))], -1)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('case', CASES)
def test_places_are_where_pixels_came_from(case, seed):
    transforms, tolerance = CASES[case]

    results = track(transforms, seed)

    image = results['img']
    source = centers(*image.shape[:2]) @ results['affine_source'].T
    # Where neither the edge nor what was filled in is near.
    whole = cv2.erode((image[..., 2] > 0.999).astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
    whole &= ((source > 0.04) & (source < 0.96)).all(-1)
    assert whole.mean() > 0.05
    error = np.abs(image[..., :2] - source)[whole] * (WIDTH, HEIGHT)
    assert error.max() < tolerance


@pytest.mark.parametrize('policies', ['RandAugment', 'AutoAugment'])
def test_the_presets_of_augmentation_are_tracked(policies):
    options = dict(policies='timm_increasing', num_policies=3, magnitude_level=9)
    options = options if policies == 'RandAugment' else dict(policies='imagenet')
    image = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8)

    moved = [
        track([dict(type=policies, **options)], seed, image)['affine_source'] for seed in range(30)
    ]

    assert any(not np.allclose(matrix, np.eye(2, 3)) for matrix in moved)


def test_what_changes_colors_alone_moves_nothing():
    image = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    steps = [
        dict(type='ColorJitter', brightness=0.4),
        dict(type='RandomErasing', erase_prob=1.0, mode='const'),
    ]

    results = track(steps, 0, image)

    assert not np.array_equal(results['img'], image)
    assert np.array_equal(results['affine_source'], np.eye(2, 3))


def test_two_in_a_row_extend_the_matrix():
    flip = [dict(type='RandomFlip', prob=1.0)]
    tracked = TRANSFORMS.build(dict(type='TrackAffine', transforms=flip))

    results = tracked(tracked(dict(img=coordinates(), img_shape=(HEIGHT, WIDTH))))

    assert np.allclose(results['affine_source'], np.eye(2, 3))


def test_a_transform_of_unknown_way_is_refused():
    with pytest.raises(UserError, match='EfficientNetCenterCrop in TrackAffine may move pixels'):
        track([dict(type='EfficientNetCenterCrop', crop_size=32)], 0)


def test_workers_of_any_kind_can_have_it():
    steps = [dict(type='RandomResizedCrop', scale=32), dict(type='RandomFlip', prob=0.5)]
    tracked = TRANSFORMS.build(dict(type='TrackAffine', transforms=steps))

    copy = pickle.loads(pickle.dumps(tracked))

    matrices = []
    for transform in (tracked, copy):
        np.random.seed(3)
        results = transform(dict(img=coordinates(), img_shape=(HEIGHT, WIDTH)))
        matrices.append(results['affine_source'])
    assert np.array_equal(*matrices)
