"""The class of every patch, and the features that stand beside it."""

import numpy as np
import pytest
import torch

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import build_frozen_backbone
from mmtoken.experiments.probe_data import build_dataset, build_preprocessor
from mmtoken.experiments.probe_patches import Patches, PatchReader, gather, patch_labels


def labels_of(rows, image=(4, 4), grid=(2, 2), cell=(2, 2)):
    return patch_labels(np.array(rows), image, grid, cell, classes=3).tolist()


def scene_of(count, seen=None):
    features = np.arange(count, dtype=np.float32)[:, None]
    labels = np.zeros(count, int)
    return Patches(features, labels, labels, seen or count, (1, count))


@pytest.fixture
def reader(segmentor):
    return PatchReader(
        build_dataset(segmentor, training=False),
        build_preprocessor(segmentor),
        build_frozen_backbone(segmentor, None),
    )


def test_a_patch_has_the_class_of_most_of_its_pixels():
    rows = [[0, 1, 2, 2], [1, 1, 2, 0], [0, 0, 1, 1], [0, 0, 2, 2]]

    assert labels_of(rows) == [1, 2, 0, 1]


def test_ignored_pixels_have_no_vote_and_patches_of_them_no_class():
    rows = [[255, 255, 255, 255], [255, 1, 255, 255], [0, 0, 2, 2], [0, 0, 2, 2]]

    assert labels_of(rows) == [1, -1, 0, 2]


def test_pixels_of_a_resized_image_count_where_their_centers_lie():
    # 4 pixels of the class map are 6 of the image, their centers 0.75, 2.25, 3.75 and 5.25.
    assert labels_of([[1, 0, 0, 2]], image=(2, 6), grid=(1, 3)) == [1, 0, 2]


def test_patches_beyond_the_image_have_no_class():
    assert labels_of([[1, 1], [1, 1]], image=(2, 2)) == [1, -1, -1, -1]


def test_a_last_patch_that_is_partly_padding_has_the_class_of_its_own_pixels():
    assert labels_of([[0, 0, 2]] * 3, image=(3, 3), grid=(2, 2), cell=(2, 2)) == [0, 2, 0, 2]


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(UserError, match='the label 7, and the data set 3 classes'):
        labels_of([[0, 7], [0, 0]])


def test_features_stand_beside_the_labels_of_their_patches(reader):
    packed = reader.dataset[1]
    images = reader.preprocess(dict(inputs=[packed['inputs']], data_samples=[]))['inputs']

    found = reader.read(1)

    cells = packed['data_samples'].gt_sem_seg.data[0, ::8, ::8]
    expected = reader.backbone(images)[0][0, :, 2, 3].numpy()
    assert found.grid == (4, 4)
    assert found.labels.tolist() == cells.flatten().tolist()
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features[2 * 4 + 3], expected, rtol=1e-5)


def test_patches_without_a_class_are_left_out(reader):
    every = reader.read(0)
    reader.dataset.ignore_index = 0

    found = reader.read(0)

    assert found.labels.tolist() == [label for label in every.labels if label]
    assert found.features.tolist() == every.features[every.labels > 0].tolist()
    assert found.seen == len(found.scenes) == len(found)


def test_a_pipeline_without_class_maps_is_refused(segmentor):
    segmentor.test_dataloader.dataset.pipeline.pop(1)
    reader = PatchReader(
        build_dataset(segmentor, training=True),
        build_preprocessor(segmentor),
        build_frozen_backbone(segmentor, None),
    )

    with pytest.raises(UserError, match="add dict\\(type='LoadAnnotations'\\)"):
        reader.read(0)


def test_features_that_are_not_finite_are_refused(reader):
    torch.nn.init.constant_(reader.backbone.ln1.weight, float('nan'))

    with pytest.raises(UserError, match='not finite'):
        reader.read(0)


def test_of_too_many_patches_the_same_ones_are_kept_and_the_others_counted():
    first, second = (gather([scene_of(20), scene_of(3)], limit=5) for _ in range(2))

    assert (len(first), first.seen) == (8, 23)
    assert first.features.tolist() == second.features.tolist()
    assert first.features[:5].flatten().tolist() != list(range(5))


def test_no_limit_keeps_every_patch():
    assert len(gather([scene_of(20), scene_of(3)])) == 23
