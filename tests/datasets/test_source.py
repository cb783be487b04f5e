"""How often the classes of a source are drawn."""

from collections import Counter

import numpy as np
import pytest

from mmtoken.datasets import Digits, Glyphs

TAILED = Glyphs(20, imbalance=10)


def test_balanced_classes_take_turns_in_order():
    assert Digits().take_turns('train', 25) == [index % 10 for index in range(25)]


def test_the_first_class_is_as_many_times_commoner_than_the_last_as_asked_for():
    counts = Counter(TAILED.take_turns('train', 20000))

    assert counts[0] / counts[19] == pytest.approx(10, rel=0.02)


def test_each_class_is_rarer_than_the_one_before_by_the_same_factor():
    weights = TAILED.weights('train')

    assert weights[1:] / weights[:-1] == pytest.approx(10 ** (-1 / 19), rel=1e-5)


def test_a_longer_tailed_list_begins_with_the_shorter_one():
    assert TAILED.take_turns('train', 500)[:123] == TAILED.take_turns('train', 123)


def test_validation_is_balanced():
    assert TAILED.take_turns('val', 40) == [*range(20), *range(20)]


@pytest.mark.parametrize(('split', 'ratio'), [('train', 10), ('val', 1)])
def test_scenes_draw_the_classes_as_often(split, ratio):
    rng = np.random.default_rng(0)

    counts = Counter(TAILED.draw_label(rng, split) for _ in range(20000))

    first, last = (sum(counts[label] for label in few) for few in (range(3), range(17, 20)))
    assert first / last == pytest.approx(ratio ** (17 / 19), rel=0.1)
