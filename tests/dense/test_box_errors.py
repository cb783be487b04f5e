"""TIDE's error shares, where each can be computed by hand.

AP is the mean of the precision at 101 recalls: 0, 0.01 … 1.
"""

import sys

import pytest
from coco_truth import LEFT, LOW, RIGHT, predicted, truth

from mmtoken.dense.box_errors import KINDS, box_errors, require_tidecv
from mmtoken.errors import UserError

ONE = truth([1], [(1, 1, LEFT)])
TWO = truth([1], [(1, 1, LEFT), (1, 1, RIGHT)])


@pytest.mark.parametrize(
    ('objects', 'predictions', 'kind', 'share'),
    [
        (ONE, [(2, 0.9, LEFT)], 'cls', 1),
        (ONE, [(1, 0.9, LOW)], 'loc', 1),
        # A class that occurs nowhere has an AP of 0, until its one box is gone.
        (ONE, [(1, 0.8, LEFT), (2, 0.9, LOW)], 'both', 1 / 2),
        # At recalls above one half the precision is 2/3.
        (TWO, [(1, 0.9, LEFT), (1, 0.8, LEFT), (1, 0.7, RIGHT)], 'dupe', 50 / 101 / 3),
        (ONE, [(1, 0.9, RIGHT), (1, 0.8, LEFT)], 'bkg', 1 / 2),
        (TWO, [(1, 0.9, LEFT)], 'miss', 50 / 101),
    ],
)
def test_an_error_costs_ap_under_its_own_name_alone(objects, predictions, kind, share):
    found = box_errors(objects, [predicted(1, *item) for item in predictions])

    assert found == pytest.approx({**dict.fromkeys(KINDS, 0), kind: share})


def test_a_detector_without_errors_has_none():
    found = box_errors(TWO, [predicted(1, 1, 0.9, LEFT), predicted(1, 1, 0.8, RIGHT)])

    assert found == dict.fromkeys(KINDS, 0)


def test_what_is_found_in_an_image_without_objects_is_an_error():
    objects = truth([1, 2], [(1, 1, LEFT)])

    found = box_errors(objects, [predicted(2, 1, 0.9, LEFT), predicted(1, 1, 0.8, LEFT)])

    assert found['bkg'] == pytest.approx(1 / 2)


def test_nothing_counts_in_a_crowd():
    # RIGHT lies in it, and is no match for all of it.
    objects = truth([1], [(1, 1, LEFT)], crowds=[(1, 1, [40, 40, 24, 24])])

    found = box_errors(objects, [predicted(1, 1, 0.9, RIGHT), predicted(1, 1, 0.8, LEFT)])

    assert found == dict.fromkeys(KINDS, 0)


def test_without_objects_there_are_no_shares():
    found = box_errors(truth([1], []), [predicted(1, 1, 0.9, LEFT)])

    assert found == dict.fromkeys(KINDS, -1)


def test_a_missing_tidecv_is_said_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tidecv', None)

    with pytest.raises(UserError, match=r'need tidecv .*pip install tidecv`, or set tide=False$'):
        require_tidecv()
