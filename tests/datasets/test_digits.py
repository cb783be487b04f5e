"""The digits of training and validation are not the same."""

import numpy as np
import pytest

from mmtoken.datasets.digits import digit_ids, digit_images


@pytest.mark.parametrize('label', range(10))
def test_no_digit_is_in_both_splits(label):
    train, val = digit_ids('train', label), digit_ids('val', label)

    assert not set(train) & set(val)


@pytest.mark.parametrize('label', range(10))
def test_splits_hold_all_digits_of_a_class_three_to_one(label):
    labels = digit_images()[1]

    train, val = digit_ids('train', label), digit_ids('val', label)

    assert np.array_equal(np.r_[train, val], np.flatnonzero(labels == label))
    assert len(train) / (len(train) + len(val)) == pytest.approx(0.75, abs=0.01)


def test_no_digit_image_of_one_split_equals_one_of_the_other():
    images = digit_images()[0]

    train, val = (
        {images[i].tobytes() for label in range(10) for i in digit_ids(split, label)}
        for split in ('train', 'val')
    )

    assert not train & val


def test_digits_are_scaled_to_one():
    images, labels = digit_images()

    assert images.shape == (1797, 8, 8)
    assert labels.shape == (1797,)
    assert (images.min(), images.max()) == (0, 1)
