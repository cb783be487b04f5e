"""How much of a map falls on what it is of, on cases whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmtoken.errors import UserError
from mmtoken.psvit import TokenPool
from mmtoken.rollout import capture, faithfulness
from mmtoken.rollout.capture import Capture, Step
from mmtoken.rollout.faithfulness_report import METHODS, summarize
from mmtoken.vit import TokenBlock


def taken(grid=(2, 2), image=(16, 16)):
    """A capture of 8 px patches, without its model."""
    tokens = SimpleNamespace(grid=grid, num_aux=0, x=torch.zeros(1, grid[0] * grid[1], 4))
    model = SimpleNamespace(backbone=SimpleNamespace(patch_size=8))
    return Capture(
        model,
        SegDataSample(),
        [Step(TokenBlock(4, 1, 4, dict(type='LinearProjection')), tokens)],
        torch.zeros(3, *image),
        tokens,
    )


def test_mass_inside_a_mask_is_counted_by_the_covered_share_of_each_token():
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[:8, :12] = True  # all of the first patch and half of the second

    covered = faithfulness.covered_shares(taken(), mask, entered=True)
    share = faithfulness.mass_inside(torch.tensor([[3.0, 2.0], [1.0, 2.0]]), covered)

    assert covered.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert share == pytest.approx((3 + 1) / 8)


def test_tokens_that_left_pooled_layers_cover_several_patches():
    capture = taken(image=(24, 24), grid=(3, 3))
    capture.steps.append(Step(TokenPool(4), capture.left))
    capture.left = SimpleNamespace(grid=(2, 2), num_aux=0, x=torch.zeros(1, 4, 4))

    mask = torch.ones(24, 24)
    covered = faithfulness.covered_shares(capture, mask, entered=False)

    assert covered.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_mass_on_padding_is_outside():
    covered = faithfulness.covered_shares(taken(image=(16, 8)), torch.ones(32, 16), entered=False)

    assert covered.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_every_class_in_both_truth_and_prediction_is_measured(monkeypatch):
    capture = taken()
    sets = {label: SimpleNamespace(label=label, weights=torch.eye(4)[label]) for label in (0, 1, 3)}
    maps = torch.tensor([[[0.6, 0.4], [0, 0]], [[0, 0], [0, 1.0]], [[0.25, 0.25], [0.25, 0.25]]])
    monkeypatch.setattr(faithfulness, 'find_token_sets', lambda _: SimpleNamespace(classes=sets))
    monkeypatch.setattr(faithfulness, 'roll_maps', lambda *_: maps)
    masks = {label: torch.zeros(16, 16, dtype=torch.bool) for label in (0, 2, 3)}
    masks[0][:8, :8] = True
    masks[3][8:, 8:] = True

    first, second = faithfulness.measure(capture, masks)

    assert first == pytest.approx(
        dict(label=0, dense=0.6, ordinary=0.25, chance=0.25, prediction=1.0)
    )
    assert second == pytest.approx(
        dict(label=3, dense=1.0, ordinary=0.25, chance=0.25, prediction=1.0)
    )


def test_true_masks_of_segmentation_leave_background_and_ignored_pixels_out():
    labels = torch.tensor([[[0, 1], [255, 1]]])
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels))

    masks = faithfulness.true_masks(sample, ['background', '0'])

    assert {label: mask.tolist() for label, mask in masks.items()} == {
        1: [[False, True], [False, True]]
    }


def test_true_masks_of_detection_are_the_unions_of_instances():
    masks = np.zeros((3, 2, 2), np.uint8)
    masks[0, 0, 0] = masks[1, 1, 1] = masks[2, 0, 1] = 1
    sample = SegDataSample()
    instances = InstanceData(labels=torch.tensor([4, 4, 7]), masks=BitmapMasks(masks, 2, 2))
    sample.set_field(instances, 'gt_instances', dtype=InstanceData)

    found = faithfulness.true_masks(sample, [])

    assert found[4].tolist() == [[True, False], [False, True]]
    assert found[7].tolist() == [[False, True], [False, False]]


def test_means_are_over_images():
    def row(value):
        return dict.fromkeys(METHODS, value)

    report = summarize('model', [[row(0.2), row(0.4)], [], [row(0.5)]])

    assert (report['images'], report['used'], report['pairs']) == (3, 2, 3)
    assert report['shares']['dense']['mean'] == pytest.approx(0.4)
    # Two images, 0.3 and 0.5: Student's t of one degree of freedom is 12.706.
    assert report['shares']['dense']['margin'] == pytest.approx(12.7062 * 0.1, rel=1e-4)


def test_too_few_images_are_an_error():
    with pytest.raises(UserError, match='in 0 of 2 images'):
        summarize('model', [[], []])


@pytest.mark.parametrize(('number', 'measured'), [(2, 2), (9, 3)])
def test_the_first_images_of_the_validation_data_are_measured(
    build, image_data, monkeypatch, number, measured
):
    model, packed = build('segmentor'), []
    for width in (40, 48, 56):
        data = image_data('segmentor', 48, width)
        labels = torch.arange(48 * width).view(1, 48, width) % 11
        data['data_samples'][0].gt_sem_seg = PixelData(data=labels)
        packed.append({name: values[0] for name, values in data.items()})
    seen = []
    monkeypatch.setattr(faithfulness, 'load_model', lambda *args: seen.append(args) or model)
    monkeypatch.setattr(faithfulness.DATASETS, 'build', lambda cfg: packed if cfg == 'val' else [])
    cfg = SimpleNamespace(val_dataloader=SimpleNamespace(dataset='val'))

    found = faithfulness.measure_dataset(cfg, 'x.pth', number)

    assert seen == [(cfg, 'x.pth')]
    names = model.dataset_meta['classes']
    assert len(found) == measured
    for rows, data in zip(found, packed, strict=False):
        single = {name: [value] for name, value in data.items()}
        masks = faithfulness.true_masks(data['data_samples'], names)
        assert rows == faithfulness.measure(capture(model, single), masks)
    assert found[0]
