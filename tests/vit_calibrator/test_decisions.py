"""What decisions rest on, measured over several batches, is what the losses see of each."""

import matplotlib.image
import pytest
import torch
from calibrated_models import CLASSES, LOSSES, GivenForeground, build, images, samples

from mmtoken.vit_calibrator.decisions import _order_of, measure_decisions, plot_decisions
from mmtoken.vit_calibrator.foreground import patch_relevance

LABELS = ((3, 0, 4, 1), (1, 1, 2, 0))


@pytest.fixture
def model():
    calibration = {'dimension': LOSSES['dimension']}
    calibration['token'] = dict(type='TokenPropagation', layers=(0, 1, 2))
    return build(calibration=calibration).eval()


def batches():
    return [
        dict(inputs=[*(images() + shift)], data_samples=samples(labels))
        for shift, labels in zip((0.0, 1.0), LABELS, strict=True)
    ]


def test_shares_are_those_that_the_loss_logs(model):
    found = measure_decisions(model, batches(), model.foreground, shown=3)

    model.set_active(('token',))
    logged = [model.loss(images() + shift, samples(labels))
              for shift, labels in zip((0.0, 1.0), LABELS, strict=True)]  # fmt: skip
    for layer, share in enumerate(found.shares):
        expected = sum(float(logs[f'token_foreground_share_{layer}']) for logs in logged) / 2
        assert share == pytest.approx(expected, abs=1e-6)
    assert len(found.shares) == 3


def test_only_images_of_known_foreground_count_for_shares(model):
    known = torch.tensor([True, False, False, False])
    foreground = GivenForeground(model.foreground.share, known)
    found = measure_decisions(model, batches()[:1], foreground, shown=1)

    model.foreground, model.images = foreground, 1.0
    model.set_active(('token',))
    logs = model.loss(images(), samples())
    assert found.shares[2] == pytest.approx(float(logs['token_foreground_share_2']), abs=1e-6)
    foreground.known[:] = False
    assert measure_decisions(model, batches()[:1], foreground, shown=1).shares == []


def test_dimensions_maps_and_accuracy(model):
    found = measure_decisions(model, batches(), model.foreground, shown=3)

    losses = [model.calibration['dimension']]
    statistics = torch.cat(
        [model.statistics(images() + shift, torch.tensor(labels), losses)[0][3]
         for shift, labels in zip((0.0, 1.0), LABELS, strict=True)]
    )  # fmt: skip
    every = torch.tensor(LABELS).flatten()
    for label in range(CLASSES):
        torch.testing.assert_close(found.dimensions[label], statistics[every == label].mean(0))
    relevance, scores = patch_relevance(model, images(), torch.tensor(LABELS[0]))
    torch.testing.assert_close(found.maps.flatten(1), relevance[:3])
    torch.testing.assert_close(found.images, images()[:3])
    _, later = patch_relevance(model, images() + 1, torch.tensor(LABELS[1]))
    guesses = torch.cat([scores, later]).argmax(1)
    assert found.accuracy == pytest.approx((guesses == every).float().mean().item())


def test_a_picture_has_something_of_each(model, tmp_path):
    found = measure_decisions(model, batches(), model.foreground, shown=3)
    other = measure_decisions(build(seed=1).eval(), batches(), model.foreground, shown=3)

    plot_decisions({'a': found}, 'vwxyz', 'one', tmp_path / 'one.png')
    plot_decisions({'a': found, 'b': other}, 'vwxyz', 'two', tmp_path / 'two.png')

    one, two = (matplotlib.image.imread(tmp_path / f'{name}.png') for name in ('one', 'two'))
    assert two.shape[0] > one.shape[0] and one.std() > 0.05 and two.std() > 0.05


def test_dimensions_stand_in_one_order_by_the_class_they_matter_most_to():
    first = torch.tensor([[0.1, 0.9, 0.0, 0.4], [0.8, 0.2, 0.3, 0.5]])

    order = _order_of([first, first.flip(0)])

    # Class 0 has dimension 1; class 1 has 0, then 3, then 2.
    assert order.tolist() == [1, 0, 3, 2]
