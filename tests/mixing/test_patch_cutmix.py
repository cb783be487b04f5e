"""PatchCutMix pastes whole patches of the flipped batch and says which."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.runner import set_random_seed
from mmpretrain.registry import BATCH_AUGMENTS, MODELS
from mmpretrain.structures import DataSample

from mmtoken.errors import UserError
from mmtoken.mixing import PatchCutMix

CONFIGS = Path(__file__).parents[2] / 'configs' / 'tl_align'


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 5),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    patch=st.integers(1, 6),
    per_image=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_patch_is_of_one_image_and_lambda_counts_them(
    batch, height, width, patch, per_image, seed
):
    np.random.seed(seed)
    # Each image has a value of its own, off which the origin of a pixel can be read.
    images = torch.arange(batch).float().view(-1, 1, 1, 1).expand(-1, 3, height, width)

    mixed = PatchCutMix(patch, per_image=per_image).mix(images)

    rows, columns = -(-height // patch), -(-width // patch)
    assert mixed.mask.shape == (batch, rows, columns)
    # The mask of the patch that each pixel lies in.
    patch_rows, patch_columns = torch.arange(height) // patch, torch.arange(width) // patch
    taken = mixed.mask[:, patch_rows][:, :, patch_columns].unsqueeze(1)
    assert torch.equal(mixed.images, images * ~taken + images.flip(0) * taken)
    share = mixed.mask.flatten(1).double().mean(1)
    torch.testing.assert_close(mixed.lam, (1 - share).float(), rtol=0, atol=0)
    assert mixed.pasted == bool(mixed.mask.any())


def test_boxes_have_the_drawn_area_where_nothing_is_clipped():
    np.random.seed(0)
    mixer = PatchCutMix(1, per_image=True)

    mask = mixer.mix(torch.zeros(4000, 1, 15, 15)).mask

    heights, widths = mask.any(2).sum(1), mask.any(1).sum(1)
    assert torch.equal(mask.flatten(1).sum(1), heights * widths)
    assert set(range(15)) <= set(heights.tolist())


def whole_boxes(mixer: PatchCutMix, rows: int, columns: int) -> torch.Tensor:
    """Rows and columns of random boxes that the border of the grid does not clip, (n, 2)."""
    np.random.seed(0)
    mask = mixer.mix(torch.zeros(4000, 1, rows, columns)).mask
    inner = torch.zeros(rows, columns, dtype=bool)
    inner[1:-1, 1:-1] = True
    whole = mask[mask.flatten(1).any(1) & ~(mask & ~inner).flatten(1).any(1)]
    return torch.stack([whole.any(2).sum(1), whole.any(1).sum(1)], dim=1)


def test_boxes_have_the_same_share_of_either_side_of_the_grid():
    rows, columns = whole_boxes(PatchCutMix(1, per_image=True), 16, 48).T

    assert len(rows) > 500
    # Both shares are rounded down to whole patches.
    assert ((columns - 3 * rows >= 0) & (columns - 3 * rows <= 2)).all()
    assert rows.unique().tolist() == list(range(1, 15))


def test_boxes_lie_anywhere_on_a_grid_that_is_not_square():
    np.random.seed(0)

    mask = PatchCutMix(1, per_image=True).mix(torch.zeros(4000, 1, 6, 18)).mask

    # The middle of a box is drawn, so that fewer reach into the corners, but not none.
    assert mask.float().mean(0).min() > 0.1


def test_a_large_alpha_makes_every_lambda_one_half():
    sides = whole_boxes(PatchCutMix(1, alpha=1000.0, per_image=True), 40, 40)

    # √½ of 40 is 28.3.
    assert sides.unique().tolist() == [27, 28, 29]


def test_a_small_alpha_makes_most_lambdas_nearly_zero_or_one():
    few, many = (
        whole_boxes(PatchCutMix(1, alpha=alpha, per_image=True), 40, 40) for alpha in (0.1, 1.0)
    )

    shares = [(boxes.prod(1) < 0.1 * 40 * 40).float().mean() for boxes in (few, many)]
    assert shares[0] > 2 * shares[1]


def test_lambda_is_that_of_the_beta_distribution_but_for_the_border():
    np.random.seed(0)

    lam = PatchCutMix(1, alpha=1.0, per_image=True).mix(torch.zeros(4000, 1, 64, 64)).lam

    # A uniform λ has the mean ½; clipping, at most half of a box's side, only raises it.
    assert 0.5 < lam.mean() < 0.75


def test_one_box_serves_the_batch_unless_each_image_has_its_own():
    np.random.seed(1)
    images = torch.randn(6, 3, 32, 32)

    shared, own = (PatchCutMix(4, per_image=own).mix(images).mask for own in (False, True))

    assert len(shared.unique(dim=0)) == 1
    assert len(own.unique(dim=0)) > 1


@pytest.mark.parametrize('per_image', [False, True])
def test_probability_decides_how_often_a_box_is_pasted(per_image):
    np.random.seed(0)
    mixer = PatchCutMix(1, prob=0.3, per_image=per_image)

    pasted = torch.cat([mixer.mix(torch.zeros(2, 1, 40, 40)).lam < 1 for _ in range(600)])

    assert 0.24 < pasted.float().mean() < 0.36


def test_probability_zero_returns_the_very_images():
    images = torch.randn(2, 3, 8, 8)

    mixed = PatchCutMix(4, prob=0.0).mix(images)

    assert mixed.images is images
    assert not mixed.pasted
    assert torch.equal(mixed.lam, torch.ones(2))


def test_mask_and_lambda_are_where_the_images_are():
    np.random.seed(0)

    mixed = PatchCutMix(4).mix(torch.zeros(2, 3, 16, 16, device='meta'))

    assert mixed.pasted
    assert {part.device.type for part in (mixed.images, mixed.mask, mixed.lam)} == {'meta'}


def test_images_given_are_not_written_to():
    images = torch.randn(4, 3, 16, 16)
    before = images.clone()

    PatchCutMix(2).mix(images)

    assert torch.equal(images, before)


def test_numpys_seed_repeats_the_boxes():
    images, masks = torch.randn(4, 3, 32, 32), []

    for _ in range(2):
        np.random.seed(7)
        masks.append(PatchCutMix(4, per_image=True).mix(images).mask)

    assert torch.equal(*masks)


@pytest.mark.parametrize('size', ['tiny', 'small', 'base'])
def test_every_gpu_of_the_recipe_draws_boxes_of_its_own(monkeypatch, size):
    cfg = Config.fromfile(CONFIGS / f'tl-align-deit-{size}_8xb128_in1k.py')
    lams = []

    for rank in range(8):
        monkeypatch.setattr('mmengine.runner.utils.get_rank', lambda rank=rank: rank)
        set_random_seed(**cfg.randomness)
        lams.append(PatchCutMix(1).mix(torch.zeros(1, 1, 14, 14)).lam.item())

    assert len(set(lams)) > 4


def test_as_a_batch_augment_of_mmpretrain_it_mixes_labels_by_lambda():
    np.random.seed(0)
    preprocessor = MODELS.build(
        dict(
            type='ClsDataPreprocessor',
            num_classes=4,
            batch_augments=dict(augments=dict(type='PatchCutMix', patch_size=4)),
        )
    )
    inputs = torch.arange(4).view(4, 1, 1, 1).expand(4, 3, 16, 16).float()
    samples = [DataSample().set_gt_label(label) for label in range(4)]

    data = preprocessor(dict(inputs=inputs, data_samples=samples), training=True)

    for label, (image, sample) in enumerate(zip(data['inputs'], data['data_samples'], strict=True)):
        own = (image[0] == label).float().mean()
        assert 0 < own < 1
        torch.testing.assert_close(sample.gt_score[label], own)
        torch.testing.assert_close(sample.gt_score[3 - label], 1 - own)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(patch_size=0), 'patch_size 0'),
        (dict(patch_size=4, alpha=0.0), r'alpha 0\.0'),
        (dict(patch_size=4, prob=1.5), r'prob 1\.5'),
    ],
)
def test_a_meaningless_argument_is_named(options, named):
    with pytest.raises(UserError, match=named):
        BATCH_AUGMENTS.build(dict(type='PatchCutMix', **options))
