"""Where an image's own class is: by its masks, or by where the model looks."""

import pytest
import torch
import torch.nn.functional as F
from calibrated_models import build, images, samples
from explicit_attention import explicit_trace, pooling_matrix
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmtoken.errors import UserError
from mmtoken.vit_calibrator.foreground import Foreground, patch_relevance

LABELS = torch.tensor([3, 0, 4, 1])


def labeled(classes, label, source=None, kind='share'):
    """A sample whose cells are of one class each; classes (Hs, Ws)."""
    sample = DataSample().set_gt_label(label)
    sample.set_field(torch.ones(1, *classes.shape).half(), 'token_label')
    sample.set_field(classes[None].short(), 'token_label_ids')
    sample.set_field(torch.eye(2, 3) if source is None else source, 'token_label_source')
    sample.set_field(kind, 'token_label_kind', field_type='metainfo')
    return sample


def supplied(*samples, grid=(2, 2), patch_size=None, **options):
    foreground = MODELS.build(dict(type='SuppliedForeground', **options))
    labels = torch.cat([sample.gt_label for sample in samples])
    return foreground(None, list(samples), labels, grid, patch_size)


BACK, OWN, OTHER = 9, 2, 5


def test_patches_that_show_the_images_own_class_are_foreground():
    classes = torch.tensor([[OWN, BACK], [OTHER, OWN]])

    found = supplied(labeled(classes, OWN), labeled(classes, OTHER))

    assert found.share.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0]]
    assert found.known.tolist() == [True, True]


def test_the_foreground_goes_where_the_image_went():
    classes = torch.full((4, 4), BACK)
    classes[:, 0] = OWN
    mirrored = torch.tensor([[-1.0, 0, 1], [0, 1, 0]])
    right_half = torch.tensor([[0.5, 0, 0.5], [0, 1, 0]])

    found = supplied(
        labeled(classes, OWN, mirrored), labeled(classes, OWN, right_half), grid=(4, 4)
    )

    assert found.share[0].view(4, 4).tolist() == [[0, 0, 0, 1]] * 4
    # Cropped away: there is nothing to be learned of where it is.
    assert found.share[1].sum() == 0
    assert found.known.tolist() == [True, False]


def test_padding_is_no_foreground():
    sample = labeled(torch.tensor([[BACK, OWN]]), OWN)
    sample.set_field((8, 12), 'token_label_shape', field_type='metainfo')

    # The last two of four patches lie beside the 12 pixels, of which the last 6 show the object.
    found = supplied(sample, grid=(1, 4), patch_size=6)

    assert found.share.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize('side', [11, 14, 24])
def test_neighbors_of_a_cell_are_no_foreground_by_rounding(side):
    for place in range(side):
        classes = torch.full((side, side), BACK)
        classes[place, place] = OWN
        found = supplied(labeled(classes, OWN), grid=(side, side))
        assert torch.equal(found.share.view(side, side), (classes == OWN).float())
        assert found.known
    # All of it, and none: neither teaches anything, whatever the sums of so many are.
    whole = supplied(labeled(torch.full((side, side), OWN), OWN), grid=(side, side))
    assert not whole.known


def test_images_that_are_all_foreground_teach_nothing():
    assert not supplied(labeled(torch.full((2, 2), OWN), OWN)).known


@pytest.mark.parametrize(('threshold', 'expected'), [(0.0, [1, 0]), (0.2, [1, 0]), (0.3, [0, 0])])
def test_a_part_of_a_patch_makes_it_foreground(threshold, expected):
    classes = torch.full((2, 4), BACK)
    classes[0, 0] = OWN

    found = supplied(labeled(classes, OWN), grid=(1, 2), threshold=threshold)

    assert found.share.tolist() == [expected]


def test_maps_of_an_annotator_are_no_areas():
    with pytest.raises(UserError, match='label maps of an annotator, whose scores are no areas'):
        supplied(labeled(torch.zeros(2, 2), 0, kind='logit'))


def test_without_maps_the_pipeline_is_named():
    with pytest.raises(UserError, match='comes without a label map; have LoadTokenLabels'):
        supplied(*samples())


def test_pooled_tokens_have_the_share_of_their_patches():
    backbone = build(pool_before=(2,)).backbone
    share = torch.tensor([[1.0, 1, 0, 0] * 2 + [0.0] * 8])

    found = Foreground(share, torch.ones(1).bool())

    assert torch.equal(found.at(backbone, (4, 4), 1), share)
    expected = share @ pooling_matrix((4, 4), 0).T
    torch.testing.assert_close(found.at(backbone, (4, 4), 2), expected)


@pytest.mark.parametrize('variant', [{}, dict(out_type='avg_featmap')])
@pytest.mark.parametrize('backbone', ['TokenViT', 'LIFEViT'])
def test_relevance_comes_from_where_the_roll_out_says(backbone, variant):
    model = build(backbone, **variant).eval().requires_grad_(False)
    relevance, scores = patch_relevance(model, images(), LABELS)

    last = 2 if not variant else 3
    tokens = model.backbone.run(model.backbone.embed(images()), 0, last + 1)
    z = tokens.x.requires_grad_()
    left = model.backbone.run(tokens.with_(x=z), last + 1)
    expected_scores = model.head((model.backbone.output(left, 3),))
    (gradient,) = torch.autograd.grad(expected_scores[torch.arange(4), LABELS].sum(), z)
    u = (gradient * z).relu().sum(-1)
    u[:, 0] = 0
    # The full matrix of the layers below, for unit vectors of every token.
    shallow = build(backbone, out_indices=last, **variant).eval() if last < 3 else model
    shallow.load_state_dict(model.state_dict())
    units = torch.eye(17).expand(4, -1, -1)
    matrix = explicit_trace(_running(shallow.backbone, last + 1), images(), units)
    expected = torch.einsum('bi,bij->bj', u, matrix)[:, 1:]

    torch.testing.assert_close(scores, expected_scores)
    torch.testing.assert_close(relevance, expected, atol=1e-5, rtol=1e-4)


def _running(backbone, count):
    """The backbone without the layers above the first `count`."""
    backbone.layers = backbone.layers[:count]
    return backbone


def automatic(model, inputs, labels, **options):
    foreground = MODELS.build(dict(type='AutomaticForeground', **options))
    foreground.remember(model)
    return foreground, foreground(inputs, None, labels, (4, 4))


def test_relevance_stays_in_float32_under_mixed_precision():
    model = build('LIFEViT').eval()
    expected = patch_relevance(model, images(), LABELS)
    with torch.autocast('cpu', torch.bfloat16):
        found = patch_relevance(model, images(), LABELS)

    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_the_fewest_patches_that_hold_the_mass_are_foreground_and_what_is_around_them():
    model = build().eval()
    relevance, _ = patch_relevance(model, images(), LABELS)

    _, found = automatic(model, images(), LABELS, mass=0.3, dilation=1, confidence=0.0)
    _, wide = automatic(model, images(), LABELS, mass=0.3, dilation=3, confidence=0.0)

    for weights, share in zip(relevance, found.share, strict=True):
        chosen = weights[share.bool()].sort(descending=True).values
        assert chosen.sum() >= 0.3 * weights.sum() > chosen[:-1].sum()
        assert chosen.min() >= weights[~share.bool()].max()
    expected = F.max_pool2d(found.share.view(4, 1, 4, 4), 3, 1, 1)
    assert torch.equal(wide.share, expected.flatten(1))


def test_only_images_that_are_classified_correctly_and_surely_have_a_foreground():
    model = build().eval()
    confidence, guess = model(images(), mode='tensor').softmax(1).max(1)
    labels = guess.clone()
    labels[0] = (labels[0] + 1) % 5
    between = confidence[1:].min().item() + 1e-6

    _, found = automatic(model, images(), labels, mass=0.2, dilation=1, confidence=between)

    assert found.known.tolist() == [False, *(confidence[1:] >= between).tolist()]
    assert 0 < found.known.sum() < 3


def test_a_foreground_that_is_everywhere_teaches_nothing():
    model = build().eval()

    _, found = automatic(
        model, images(), model(images(), mode='tensor').argmax(1), mass=1.0, confidence=0.0
    )

    assert found.share.all() and not found.known.any()


def test_what_was_remembered_is_asked_as_it_is_tested():
    model = build(drop_rate=0.5)
    _, first = automatic(model, images(), LABELS, mass=0.3, dilation=1, confidence=0.0)
    _, tested = automatic(model.eval(), images(), LABELS, mass=0.3, dilation=1, confidence=0.0)

    assert torch.equal(first.share, tested.share)


def test_what_was_remembered_does_not_learn():
    model = build(foreground=dict(type='AutomaticForeground', confidence=0.0))
    names = set(model.state_dict())
    foreground, before = automatic(model, images(), LABELS, confidence=0.0, dilation=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)

    assert torch.equal(foreground(images(), None, LABELS, (4, 4)).share, before.share)
    model.foreground.remember(model)
    assert set(model.state_dict()) == names
    assert not any('frozen' in name for name, _ in model.named_modules())


def test_a_foreground_that_remembers_nothing_says_so():
    foreground = MODELS.build(dict(type='AutomaticForeground'))
    with pytest.raises(UserError, match='has no model to ask; add CalibrationHook'):
        foreground(images(), None, LABELS, (4, 4))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mass=0), 'mass 0 is not a number above 0'),
        (dict(mass=1.2), 'mass 1.2 and dilation 3 make no foreground'),
        (dict(dilation=2), 'mass 0.6 and dilation 2 make no foreground'),
        (dict(confidence=1.0), 'confidence 1.0 is not a probability'),
    ],
)
def test_options_that_make_no_foreground_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        MODELS.build(dict(type='AutomaticForeground', **options))
