"""Which tokens belong to each predicted class and instance."""

from types import SimpleNamespace

import pytest
import torch
from hand_made import detected, patches, segmented
from mmpretrain.structures import DataSample

from mmtoken.rollout import Capture, capture, dense_rollout, find_token_sets
from mmtoken.tokens import Tokens


def test_tokens_have_the_class_of_their_mean_logits(predicted):
    # 2×3 patches of 8 px, the right column half outside the image and its padding to 32 px beyond.
    logits = torch.zeros(3, 16, 20)
    logits[0] = 0.5
    logits[1, :8, :8] = 2.0
    logits[2, 8:, 16:] = 2.0
    model, data = predicted('segmentor', (16, 20), segmented(logits))

    sets = find_token_sets(capture(model, data)).classes

    # The grid is 4×4, since the preprocessor pads to a multiple of 32.
    assert patches(sets[1]) == [0]
    assert patches(sets[2]) == [6]
    assert patches(sets[0]) == [1, 2, 4, 5]
    torch.testing.assert_close(sets[0].weights[2], torch.tensor(0.25))


def test_pooled_tokens_have_the_class_of_all_their_pixels(predicted):
    logits = torch.zeros(2, 32, 32)
    logits[0] = 1.0
    logits[1, :16, 16:] = 2.0
    model, data = predicted('segmentor', (32, 32), segmented(logits), pool_before=(2,))

    sets = find_token_sets(capture(model, data)).classes

    # 4×4 patches of 8 px have become 2×2 tokens of 16 px.
    assert patches(sets[1]) == [1]
    assert patches(sets[0]) == [0, 2, 3]


def test_pooled_tokens_at_the_border_of_an_odd_grid_belong_to_what_covers_them(predicted):
    sample = detected((40, 40), [[0.0, 0.0, 40.0, 40.0]], [3], [0.9], scale_factor=(1.0, 1.0))
    model, data = predicted('detector', (40, 40), sample, pool_before=(1, 2))
    model.data_preprocessor.pad_size_divisor = 8

    taken = capture(model, data)

    # 5×5 patches have become 3×3 tokens, and those 2×2: of 4×4, 4×1, 1×4 and 1×1 patches.
    assert taken.left.grid == (2, 2)
    assert patches(find_token_sets(taken).classes[3]) == [0, 1, 2, 3]


def small_class():
    """Logits of 32×32 pixels in which class 1 has nine pixels of the patch 5, and little else."""
    logits = torch.zeros(2, 32, 32)
    logits[0] = 1.0
    logits[1, 9:12, 9:12] = 2.0
    return logits


def test_a_class_of_few_pixels_has_the_token_that_they_cover(predicted):
    model, data = predicted('segmentor', (32, 32), segmented(small_class()))

    sets = find_token_sets(capture(model, data)).classes

    assert patches(sets[1]) == [5]
    assert patches(sets[0]) == list(range(16))


def test_a_class_of_few_pixels_has_its_probabilities_softly(predicted):
    model, data = predicted('segmentor', (32, 32), segmented(small_class()))

    maps = dense_rollout(model, data, classes=[1], weights='soft')

    weights = find_token_sets(maps.capture, 'soft').classes[1].weights[1:]
    shares = torch.full((16,), torch.tensor([1.0, 0.0]).softmax(0)[1].item())
    shares[5] = torch.tensor([1.0, 2 * 9 / 64]).softmax(0)[1]
    torch.testing.assert_close(weights, shares / shares.sum())
    assert list(maps) == [1]


def test_a_class_without_a_pixel_is_not_predicted(predicted):
    # On average class 2 leads in the first patch, and in no pixel.
    logits = torch.zeros(3, 32, 32)
    logits[2] = -1.0
    logits[2, :8, :8] = 2.0
    logits[0, :4, :8] = logits[1, 4:8, :8] = 3.0
    model, data = predicted('segmentor', (32, 32), segmented(logits))

    sets = find_token_sets(capture(model, data)).classes

    assert {label: patches(found) for label, found in sets.items()} == {
        0: list(range(1, 16)),
        1: [0],
    }


def test_soft_weights_are_the_probabilities(predicted):
    logits = torch.zeros(2, 32, 32)
    logits[1, :8, :8] = 3.0
    model, data = predicted('segmentor', (32, 32), segmented(logits))

    sets = find_token_sets(capture(model, data), 'soft').classes

    shares = torch.full((16,), 0.5)
    shares[0] = torch.tensor([0.0, 3.0]).softmax(0)[1]
    torch.testing.assert_close(sets[1].weights[1:], shares / shares.sum())


def test_tokens_inside_boxes_belong_to_instances_and_classes(predicted):
    boxes = [[0.0, 0.0, 16.0, 8.0], [8.0, 0.0, 24.0, 8.0], [1.0, 25.0, 3.0, 27.0], [0, 0, 32, 32]]
    sample = detected((32, 32), boxes, [7, 7, 2, 1], [0.9, 0.6, 0.8, 0.1])
    model, data = predicted('detector', (32, 32), sample)

    sets = find_token_sets(capture(model, data))

    assert [patches(found) for found in sets.instances] == [[0, 1], [1, 2], [12]]
    assert {label: patches(found) for label, found in sets.classes.items()} == {
        2: [12],
        7: [0, 1, 2],
    }


def test_boxes_follow_the_resizing_of_the_image(predicted):
    sample = detected((64, 64), [[32.0, 0.0, 64.0, 16.0]], [0], [0.9])
    model, data = predicted('detector', (32, 32), sample)

    sets = find_token_sets(capture(model, data))

    assert patches(sets.classes[0]) == [2, 3]


@pytest.mark.parametrize('mask', [False, True], ids=['box', 'mask'])
def test_boxes_and_masks_lie_right_where_the_pipeline_has_padded(predicted, mask):
    # 16×32 pixels, padded to 32×32 by the pipeline.
    masks = torch.zeros(1, 16, 32, dtype=torch.bool)
    masks[0, 8:, :8] = True
    sample = detected(
        (16, 32),
        [[0.0, 8.0, 8.0, 16.0]],
        [3],
        [0.9],
        masks if mask else None,
        scale_factor=(1.0, 1.0),
    )
    model, data = predicted('detector', (32, 32), sample)

    sets = find_token_sets(capture(model, data))

    assert patches(sets.classes[3]) == [4]


def test_logits_lie_on_the_image_that_the_pipeline_has_padded(predicted):
    # 16×32 pixels, padded to 32×32; mmseg squeezes all of its logits into them.
    logits = torch.zeros(2, 16, 32)
    logits[1, 8:, :8] = 3.0
    sample = segmented(logits, scale_factor=(1.0, 1.0), ori_shape=(16, 32))
    model, data = predicted('segmentor', (32, 32), sample)

    sets = find_token_sets(capture(model, data)).classes

    assert patches(sets[1]) == [8, 12]


def test_masks_go_before_boxes_and_soft_weights_are_covered_shares(predicted):
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, :8, :12] = True
    sample = detected((32, 32), [[0.0, 0.0, 32.0, 32.0]], [4], [0.9], mask)
    model, data = predicted('detector', (32, 32), sample)

    taken = capture(model, data)

    assert patches(find_token_sets(taken).classes[4]) == [0, 1]
    soft = find_token_sets(taken, 'soft').classes[4]
    torch.testing.assert_close(soft.weights[1:3], torch.tensor([2 / 3, 1 / 3]))


@pytest.mark.parametrize('right, tokens', [(12.0, [0, 1]), (11.9, [0])])
def test_an_instance_has_the_tokens_of_which_its_box_covers_half(predicted, right, tokens):
    sample = detected((32, 32), [[0.0, 0.0, right, 8.0]], [4], [0.9])
    model, data = predicted('detector', (32, 32), sample)

    assert patches(find_token_sets(capture(model, data)).instances[0]) == tokens


@pytest.mark.parametrize('masked', [False, True])
def test_soft_weights_of_smaller_tokens_at_the_border_are_covered_shares_too(predicted, masked):
    # Of 5x4 patches, pooling makes 3x2 tokens; those of the last row have half as many patches.
    mask = torch.zeros(1, 40, 32, dtype=torch.bool)
    mask[0, 16:, :16] = True
    sample = detected((40, 32), [[0.0, 16.0, 16.0, 40.0]], [4], [0.9], mask if masked else None)
    model, data = predicted('detector', (40, 32), sample, pool_before=(1,))
    model.data_preprocessor.pad_size_divisor = 1

    soft = find_token_sets(capture(model, data), 'soft').classes[4]

    torch.testing.assert_close(soft.weights[1:], torch.tensor([0, 0, 0.5, 0, 0.5, 0]))


def test_a_class_has_the_largest_product_of_score_and_share_softly(predicted):
    boxes = [[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 16.0, 8.0]]
    model, data = predicted('detector', (32, 32), detected((32, 32), boxes, [4, 4], [0.8, 0.4]))

    sets = find_token_sets(capture(model, data), 'soft')

    torch.testing.assert_close(sets.classes[4].weights[1:3], torch.tensor([2 / 3, 1 / 3]))
    torch.testing.assert_close(sets.instances[1].weights[1:3], torch.tensor([1 / 2, 1 / 2]))


def probable():
    """What mmseg makes of one logit: the probability of class 1, high on the first patch."""
    probabilities = torch.full((1, 32, 32), 0.2)
    probabilities[0, :8, :8] = 0.4
    sample = segmented(probabilities)
    sample.pred_sem_seg.data = (probabilities > 0.3).long()
    return sample


@pytest.mark.parametrize(
    ('weights', 'class_0', 'class_1'),
    [
        ('hard', [0.0] + [1] * 15, [1.0] + [0] * 15),
        ('soft', [0.6] + [0.8] * 15, [0.4] + [0.2] * 15),
    ],
)
def test_one_probability_a_pixel_tells_two_classes_apart(predicted, weights, class_0, class_1):
    model, data = predicted('segmentor', (32, 32), probable())
    model.decode_head.threshold = 0.3

    sets = find_token_sets(capture(model, data), weights).classes

    for label, shares in enumerate((class_0, class_1)):
        expected = torch.tensor(shares) / sum(shares)
        torch.testing.assert_close(sets[label].weights[1:], expected)


@pytest.mark.parametrize(
    ('out_type', 'num_aux', 'num_class', 'expected'),
    [
        ('cls_token', 1, 1, [1.0, 0, 0, 0]),
        ('cls_token', 2, 2, [0.5, 0.5, 0, 0, 0]),
        ('cls_token', 3, 1, [1.0, 0, 0, 0, 0, 0]),
        ('avg_featmap', 1, 1, [0, 1 / 3, 1 / 3, 1 / 3]),
        ('featmap', 0, 0, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_a_class_has_the_tokens_that_the_head_of_a_classifier_reads(
    out_type, num_aux, num_class, expected
):
    left = Tokens(torch.zeros(1, num_aux + 3, 2, dtype=torch.bfloat16), (1, 3), num_aux)
    backbone = SimpleNamespace(out_type=out_type, num_class_tokens=num_class)
    model, sample = SimpleNamespace(backbone=backbone), DataSample().set_pred_label(3)

    sets = find_token_sets(Capture(model, sample, [], None, left))

    assert list(sets.classes) == [3]
    assert sets.instances == []
    assert sets.classes[3].label == 3
    torch.testing.assert_close(sets.classes[3].weights, torch.tensor(expected))
