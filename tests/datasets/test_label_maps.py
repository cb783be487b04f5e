"""Targets of patches are what the same augmentation makes of a full-size class map."""

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample

from mmtoken.datasets.label_maps import LabelMaps, maps_of, patch_targets
from mmtoken.datasets.mask_shares import cell_shares
from mmtoken.errors import UserError

CLASSES = 5  # four and the background
SIZE = 64


def quarters(height=SIZE, width=SIZE):
    """A class map with each class in a known place: no symmetry, so that a wrong axis shows."""
    classes = np.full((height, width), 4)
    classes[: height // 2, : width // 4] = 0
    classes[: height // 4, width // 2 :] = 1
    classes[height // 2 :, : width // 2] = 2
    classes[3 * height // 4 :, 5 * width // 8 :] = 3
    return classes


def as_maps(classes, cells, source=None, kind='share', top_k=CLASSES, reach=None):
    values, ids = cell_shares(classes, cells, top_k)
    source = np.eye(2, 3) if source is None else source
    return LabelMaps(
        torch.from_numpy(values)[None],
        torch.from_numpy(ids)[None],
        torch.from_numpy(source)[None].float(),
        kind,
        reach,
    )


def averaged(classes, grid):
    """The share of each class in each cell of an augmented class map, (H·W, K′)."""
    shares = [
        cv2.resize((classes == label).astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
        for label in range(CLASSES)
    ]
    return torch.from_numpy(np.stack(shares, -1)).flatten(0, 1)


LINEAR = dict(interpolation='bilinear')
PIPELINES = {
    'none': [],
    'flip': [dict(type='RandomFlip', prob=1.0)],
    'flip down': [dict(type='RandomFlip', prob=1.0, direction='vertical')],
    'crop': [dict(type='RandomResizedCrop', scale=SIZE, crop_ratio_range=(0.3, 0.5), **LINEAR)],
    'resize': [dict(type='Resize', scale=(64, 32), **LINEAR)],
    'rotate': [dict(type='Rotate', angle=30.0, prob=1.0, **LINEAR)],
    'shear': [dict(type='Shear', magnitude=0.3, prob=1.0, **LINEAR)],
    'translate': [dict(type='Translate', magnitude=0.2, prob=1.0, **LINEAR)],
    'all': [
        dict(type='RandomFlip', prob=1.0),
        dict(type='Rotate', angle=15.0, prob=1.0, **LINEAR),
        dict(type='RandomResizedCrop', scale=SIZE, crop_ratio_range=(0.5, 0.8), **LINEAR),
    ],
}
# What is resampled at half the height has two pixels under each of its points, what is resampled
# twice is smoother, and OpenCV blends the outermost pixels with what it fills in; a patch has 8
# pixels a side, so that 0.03 is a quarter of a pixel.
TOLERANCES = {'resize': 0.07, 'all': 0.04, 'shear': 0.03, 'translate': 0.03}


def augment(transforms, image, seed, **options):
    np.random.seed(seed)
    warps = ('Rotate', 'Shear', 'Translate')
    fill = [dict(t, **options) if t['type'] in warps else t for t in transforms]
    tracked = TRANSFORMS.build(dict(type='TrackAffine', transforms=fill))
    return tracked(dict(img=image, img_shape=image.shape[:2]))


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('pipeline', PIPELINES)
def test_targets_follow_the_image(pipeline, seed):
    classes, layers = quarters(), []
    for label in range(CLASSES):
        image = (classes == label).astype(np.float32)[:, :, None].repeat(3, axis=2)
        # What comes from outside is background.
        results = augment(PIPELINES[pipeline], image, seed, pad_val=int(label == CLASSES - 1))
        layers.append(results['img'][:, :, 0])
    grid = layers[0].shape[0] // 8, layers[0].shape[1] // 8
    expected = [cv2.resize(x, grid[::-1], interpolation=cv2.INTER_AREA) for x in layers]
    expected = torch.from_numpy(np.stack(expected, -1)).flatten(0, 1)

    # A cell a pixel, and a point a pixel of the augmented image.
    maps = as_maps(classes, (SIZE, SIZE), results['affine_source'])
    image_target, targets = patch_targets(maps, grid, CLASSES, samples=8)

    tolerance = TOLERANCES.get(pipeline, 0.01)
    torch.testing.assert_close(targets[0], expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(image_target[0], targets[0].mean(0))


@pytest.mark.parametrize(
    'pipeline',
    [
        [dict(type='RandomFlip', prob=1.0)],
        [dict(type='RandomFlip', prob=1.0, direction='vertical')],
        [dict(type='CenterCrop', crop_size=(32, 48))],
        [dict(type='RandomCrop', crop_size=40)],
    ],
)
def test_targets_are_exact_where_no_pixel_is_resampled(pipeline):
    classes = quarters()
    tracked = TRANSFORMS.build(dict(type='TrackAffine', transforms=pipeline))
    image = classes[:, :, None].repeat(3, axis=2).astype(np.uint8)
    results = tracked(dict(img=image, img_shape=image.shape[:2]))
    augmented = results['img'][:, :, 0]
    grid = augmented.shape[0] // 8, augmented.shape[1] // 8

    maps = as_maps(classes, (SIZE, SIZE), results['affine_source'])
    _, targets = patch_targets(maps, grid, CLASSES, samples=8)

    torch.testing.assert_close(targets[0], averaged(augmented, grid), rtol=0, atol=1e-4)


def test_cells_of_the_patches_give_their_own_shares():
    classes = quarters()

    _, targets = patch_targets(as_maps(classes, (8, 8)), (8, 8), CLASSES, samples=1)

    torch.testing.assert_close(targets[0], averaged(classes, (8, 8)), rtol=0, atol=1e-3)


def test_logits_are_softmaxed_and_absent_classes_have_zero():
    values = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1)
    maps = LabelMaps(values, torch.tensor([3, 1]).view(1, 2, 1, 1), torch.eye(2, 3)[None], 'logit')

    image, targets = patch_targets(maps, (2, 2), CLASSES)

    expected = torch.tensor([0.0, 1.0, 0.0, 2.0, 0.0]).softmax(0)
    torch.testing.assert_close(targets[0], expected.expand(4, -1))
    torch.testing.assert_close(image[0], expected)


@pytest.mark.parametrize(('kind', 'expected'), [('share', [0, 0, 0, 0, 1]), ('logit', [0.2] * 5)])
def test_outside_of_the_image_there_is_no_class(kind, expected):
    aside = np.array([[1.0, 0, 2], [0, 1, 0]])

    _, targets = patch_targets(as_maps(quarters(), (8, 8), aside, kind), (2, 2), CLASSES)

    torch.testing.assert_close(targets[0], torch.tensor(expected).float().expand(4, -1))


@pytest.mark.parametrize('pipeline', ['none', 'flip', 'crop'])
@pytest.mark.parametrize(('height', 'width'), [(40, 64), (64, 44), (37, 51)])
def test_patches_of_padded_images_have_the_classes_of_their_own_pixels(height, width, pipeline):
    classes, size = quarters(height, width), 16
    crop = dict(type='CenterCrop', crop_size=(width - 5, height - 3))
    transforms = {'none': [], 'flip': PIPELINES['flip'], 'crop': [crop]}[pipeline]
    image = classes[:, :, None].repeat(3, axis=2).astype(np.uint8)
    results = augment(transforms, image, 0)
    augmented = results['img'][:, :, 0]
    grid = tuple(-(-side // size) for side in augmented.shape)
    span = [side * size for side in grid]
    sides = zip(span, augmented.shape, strict=True)
    reach = torch.tensor([[span[1] / augmented.shape[1], span[0] / augmented.shape[0]]])

    maps = as_maps(classes, (height, width), results['affine_source'], reach=reach)
    image_target, targets = patch_targets(maps, grid, CLASSES, samples=size)

    # What is padded shows no class, and is background.
    padding = [(0, padded - side) for padded, side in sides]
    padded = np.pad(augmented, padding, constant_values=CLASSES - 1)
    torch.testing.assert_close(targets[0], averaged(padded, grid), rtol=0, atol=1e-3)
    shares = averaged(augmented, (1, 1))[0, :-1]
    torch.testing.assert_close(image_target[0, :-1], shares, rtol=0, atol=1e-3)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_targets_are_exact_under_autocast(dtype):
    noise = np.random.RandomState(0).randint(0, CLASSES, (SIZE, SIZE))
    maps = as_maps(noise, (8, 8), np.array([[0.7, 0.1, 0.1], [0.1, 0.6, 0.2]]))

    with torch.autocast('cpu', dtype):
        found = patch_targets(maps, (5, 6), CLASSES)

    for mine, expected in zip(found, patch_targets(maps, (5, 6), CLASSES), strict=True):
        assert torch.equal(mine, expected)


def sample(kind='share', **metainfo):
    made = DataSample(metainfo=metainfo)
    maps = as_maps(quarters(), (8, 8))
    made.set_field(maps.values[0], 'token_label')
    made.set_field(maps.ids[0], 'token_label_ids')
    made.set_field(maps.source[0], 'token_label_source')
    made.set_field(kind, 'token_label_kind', field_type='metainfo')
    return made


def test_maps_know_how_far_patches_reach():
    whole, small = sample(token_label_shape=(64, 96)), sample(token_label_shape=(60, 80))

    assert maps_of([whole, whole], (64, 96)).reach is None
    assert maps_of([sample()], (64, 96)).reach is None
    reach = maps_of([whole, small], (64, 96)).reach
    torch.testing.assert_close(reach, torch.tensor([[1, 1], [96 / 80, 64 / 60]]))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_maps_are_stacked_under_autocast(dtype):
    with torch.autocast('cpu', dtype):
        maps = maps_of([sample(), sample()])

    assert maps.values.dtype == torch.float16


def test_maps_of_two_kinds_are_refused():
    with pytest.raises(UserError, match="of the kinds 'share' and 'logit'; make those of all"):
        maps_of([sample(), sample('logit')])


def test_targets_sum_to_one_where_classes_are_left_out():
    noise = np.random.RandomState(0).randint(0, CLASSES, (SIZE, SIZE))

    image, targets = patch_targets(as_maps(noise, (4, 4), top_k=2), (8, 8), CLASSES)

    torch.testing.assert_close(targets.sum(-1), torch.ones(1, 64))
    torch.testing.assert_close(image.sum(-1), torch.ones(1))
