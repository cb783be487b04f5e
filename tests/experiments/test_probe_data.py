"""The scenes of a segmentation config, however it wraps them, and how images are normalized."""

import pytest
from mmengine.config import Config, ConfigDict

from mmtoken.errors import UserError
from mmtoken.experiments.probe_data import build_dataset, build_preprocessor, normalized_alike


def test_a_repeated_data_set_counts_once(segmentor):
    inner = segmentor.train_dataloader.dataset
    segmentor.train_dataloader.dataset = ConfigDict(type='RepeatDataset', times=5, dataset=inner)

    assert len(build_dataset(segmentor, training=True)) == 12


def test_data_sets_in_a_row_take_the_test_pipeline_each(segmentor):
    inner = segmentor.train_dataloader.dataset
    segmentor.train_dataloader.dataset = ConfigDict(type='ConcatDataset', datasets=[inner, inner])

    dataset = build_dataset(segmentor, training=True)

    assert len(dataset) == 24
    assert dataset[20]['inputs'].shape == (3, 32, 32)


def test_a_config_that_does_not_normalize_is_refused(segmentor):
    segmentor.model.pop('data_preprocessor')

    with pytest.raises(UserError, match='no data_preprocessor, which normalizes the images'):
        build_preprocessor(segmentor)


@pytest.mark.parametrize(
    ('own', 'alike'),
    [
        (dict(mean=[128.0] * 3, std=[64] * 3), True),
        (dict(mean=[128] * 3, std=[64] * 3, to_rgb=True), False),
        (dict(mean=[127] * 3, std=[64] * 3), False),
    ],
)
def test_normalization_is_compared_across_libraries(segmentor, own, alike):
    assert normalized_alike(Config(dict(data_preprocessor=own)), segmentor) is alike
