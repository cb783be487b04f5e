"""AP without classes."""

import pytest
from coco_truth import LEFT, LOW, RIGHT, corners, predicted, truth
from pycocotools import mask as masks

from mmtoken.dense.class_agnostic import class_agnostic_ap, part_of

TWO = truth([1], [(1, 1, LEFT), (1, 2, RIGHT)])


def test_classes_are_not_looked_at():
    found = class_agnostic_ap(
        TWO, [predicted(1, 3, 0.9, LEFT), predicted(1, 1, 0.8, RIGHT)], 'bbox'
    )

    assert found == pytest.approx(1)


def test_places_are_looked_at():
    # The IoU of 0.3 is below all ten thresholds.
    found = class_agnostic_ap(TWO, [predicted(1, 1, 0.9, LOW), predicted(1, 2, 0.8, RIGHT)], 'bbox')

    # Half of the recall, at a precision of one half.
    assert found == pytest.approx(51 / 101 / 2)


def test_objects_of_all_sizes_count():
    # COCO's small ones end at 32 x 32, and its middle ones at 96 x 96.
    sizes = [(1, 1, [0, 0, size, size]) for size in (10, 50, 100)]

    found = class_agnostic_ap(truth([1], sizes), [predicted(1, 1, 0.9, sizes[1][2])], 'bbox')

    # Of the 101 recalls, those to one third.
    assert found == pytest.approx(34 / 101)


def test_an_object_predicted_as_two_classes_is_found_twice():
    boxes = [(1, 0.9, LEFT), (2, 0.8, LEFT), (2, 0.7, RIGHT)]

    found = class_agnostic_ap(TWO, [predicted(1, *box) for box in boxes], 'bbox')

    assert found == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_masks_are_compared_where_masks_are_asked_for():
    # The box is right, and of the mask three tenths.
    mask = masks.frPyObjects([corners(LOW)], 64, 64)[0]
    predictions = [predicted(1, 1, 0.9, LEFT) | dict(segmentation=mask)]
    one = truth([1], [(1, 1, LEFT)])

    assert class_agnostic_ap(one, predictions, 'bbox') == pytest.approx(1)
    assert class_agnostic_ap(one, predictions, 'segm') == 0


def test_without_objects_there_is_no_ap():
    assert class_agnostic_ap(truth([1], []), [predicted(1, 1, 0.9, LEFT)], 'bbox') == -1


def test_nothing_is_printed(capsys):
    part = part_of(TWO, [1], [1, 2])
    capsys.readouterr()

    class_agnostic_ap(part, [predicted(1, 1, 0.9, LEFT)], 'bbox')

    assert capsys.readouterr().out == ''


def test_a_part_has_the_objects_of_its_images_and_categories():
    whole = truth([1, 2], [(1, 1, LEFT), (1, 2, RIGHT), (2, 1, RIGHT), (2, 3, LEFT)])

    part = part_of(whole, [2], [1, 2])

    assert part.getImgIds() == [2]
    assert part.getCatIds() == [1, 2]
    assert [item['bbox'] for item in part.loadAnns(part.getAnnIds())] == [RIGHT]
