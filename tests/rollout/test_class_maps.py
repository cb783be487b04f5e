"""`dense_rollout` on segmentors, detectors and classifiers of the three libraries."""

import pytest
import torch
from hand_made import detected
from mmpretrain.models import VisionTransformer

from mmtoken.errors import UserError
from mmtoken.rollout import class_label, dense_rollout, find_token_sets, overlay, upsample
from mmtoken.rollout.explicit import roll_back_explicitly

KINDS = ['segmentor', 'detector', 'classifier']
SIZES = {'segmentor': (48, 40), 'detector': (48, 40), 'classifier': (64, 64)}


def explicit_maps(taken, sets, layers=(0, -1)):
    steps = taken.select(layers)
    weights = torch.stack([found.weights for found in sets])
    rolled = roll_back_explicitly(steps, weights, 'mean', 0.0)
    return rolled[:, steps[0].tokens.num_aux :].unflatten(1, steps[0].tokens.grid)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('weights', ['hard', 'soft'])
@pytest.mark.parametrize('layers', [None, (1, 2), (0, 0)])
def test_maps_are_the_mean_rows_of_the_explicit_product(build, image_data, kind, weights, layers):
    model, data = build(kind), image_data(kind, *SIZES[kind])

    maps = dense_rollout(model, data, weights=weights, layers=layers, score_threshold=0.0)

    sets = find_token_sets(maps.capture, weights, 0.0).classes
    expected = explicit_maps(maps.capture, sets.values(), layers or (0, -1))
    assert list(maps) == list(sets)
    assert len(maps) > 0
    torch.testing.assert_close(torch.stack(list(maps.values())), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_windows_are_rolled_out_too(build, image_data, kind):
    model = build(kind, window_size=2, global_attn_indexes=(2,))

    maps = dense_rollout(model, image_data(kind, *SIZES[kind]), score_threshold=0.0)

    sets = find_token_sets(maps.capture, 'hard', 0.0).classes
    expected = explicit_maps(maps.capture, sets.values())
    torch.testing.assert_close(torch.stack(list(maps.values())), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('layers', [None, (0, 0), (1, 2), (2, 2)])
def test_pooled_tokens_are_rolled_out_onto_all_patches(build, image_data, kind, layers):
    model, data = build(kind, pool_before=(1,)), image_data(kind, *SIZES[kind])

    maps = dense_rollout(model, data, layers=layers, score_threshold=0.0)

    taken = maps.capture
    sets = find_token_sets(taken, 'hard', 0.0).classes
    expected = explicit_maps(taken, sets.values(), layers or (0, -1))
    assert [step.is_pool for step in taken.steps] == [False, True, False, False]
    entered = taken.steps[0].tokens.grid
    assert taken.left.grid == (entered[0] // 2, entered[1] // 2)
    assert expected.shape[1:] == entered
    torch.testing.assert_close(torch.stack(list(maps.values())), expected, rtol=0, atol=1e-5)


def test_the_model_is_left_as_it_was(build, image_data):
    model = build('segmentor').train()
    model.neck.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = image_data('segmentor', 48, 40)

    dense_rollout(model, data)

    assert {name: module.training for name, module in model.named_modules()} == modes
    assert not model.backbone.layers[0]._forward_hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert 'seg_logits' not in data['data_samples'][0]


def test_instances_have_maps_of_their_own(predicted):
    sample = detected((32, 32), [[0.0, 0, 8, 8], [24.0, 24, 32, 32]], [5, 5], [0.5, 0.9])
    model, data = predicted('detector', (32, 32), sample)

    maps = dense_rollout(model, data)

    assert [found.score for found in maps.instances] == pytest.approx([0.9, 0.5])
    both = torch.stack([found.map for found in maps.instances]).mean(0)
    torch.testing.assert_close(maps[5], both, rtol=0, atol=1e-6)


def test_no_detection_means_no_map(predicted):
    sample = detected((32, 32), [[0.0, 0, 8, 8]], [5], [0.1])
    model, data = predicted('detector', (32, 32), sample)

    maps = dense_rollout(model, data)

    assert maps == {}
    assert maps.instances == []


@pytest.mark.parametrize('options', [dict(head_fusion='sum'), dict(discard_ratio=1.0)])
def test_options_are_read_before_the_model_runs(build, image_data, options):
    model, runs = build('detector'), []
    model.register_forward_pre_hook(lambda *_: runs.append(1))

    with pytest.raises(UserError, match=next(iter(options))):
        dense_rollout(model, image_data('detector', 32, 32), score_threshold=1.0, **options)

    assert not runs


def test_inference_mode_yields_the_same_maps(build, image_data):
    model, data = build('segmentor'), image_data('segmentor', 48, 40)
    expected = dense_rollout(model, data)

    with torch.inference_mode():
        maps = dense_rollout(model, data)

    torch.testing.assert_close(dict(maps), dict(expected))


def test_a_classifier_yields_the_rollout_of_what_its_head_reads(build, image_data):
    model = build('classifier')

    maps = dense_rollout(model, image_data('classifier', 64, 64))

    taken = maps.capture
    steps = taken.select(None)
    read = torch.zeros(1, 65)
    read[:, 1:] = 1 / 64 if model.backbone.out_type == 'avg_featmap' else 0
    read[:, 0] = 0 if model.backbone.out_type == 'avg_featmap' else 1
    expected = roll_back_explicitly(steps, read, 'mean', 0.0)[0, 1:].view(8, 8)
    assert list(maps) == [int(taken.sample.pred_label)]
    torch.testing.assert_close(next(iter(maps.values())), expected, rtol=0, atol=1e-6)


def test_classes_may_be_asked_for_by_name(predicted):
    sample = detected((32, 32), [[0.0, 0, 8, 8], [8.0, 8, 16, 16]], [5, 6], [0.5, 0.9])
    model, data = predicted('detector', (32, 32), sample)

    maps = dense_rollout(model, data, classes=['5'])

    assert list(maps) == ['5']
    assert [found.label for found in maps.instances] == [5]


@pytest.mark.parametrize('fusion', ['min', 'max'])
def test_other_fusions_and_discarding_change_the_maps(build, image_data, fusion):
    model, data = build('segmentor'), image_data('segmentor', 48, 40)

    plain, fused = dense_rollout(model, data), dense_rollout(model, data, head_fusion=fusion)
    sparse = dense_rollout(model, data, discard_ratio=0.9)

    label = next(iter(plain))
    assert not torch.allclose(plain[label], fused[label], atol=1e-4)
    assert not torch.allclose(plain[label], sparse[label], atol=1e-4)


def test_upsampled_maps_lie_on_the_image(predicted):
    sample = detected((16, 20), [[0.0, 0, 8, 8]], [5], [0.9])
    model, data = predicted('detector', (16, 20), sample)
    maps = dense_rollout(model, data)
    spot = torch.zeros(4, 4)
    spot[1, 2] = 1.0

    raised = upsample(spot, maps.capture)

    assert raised.shape == (16, 20)
    assert divmod(int(raised.argmax()), 20)[0] >= 11
    assert overlay(maps[5], maps.capture).shape == (16, 20, 3)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(classes=[9]), r'class 9 is absent from the prediction, which has 5 \(5\)'),
        (dict(classes=['cat']), "^class 'cat' is not one of the model: it has 0, 1, 2, .*, 9$"),
        (dict(classes=['55']), r"^class '55' is not one of the model.* did you mean '5'"),
        (dict(weights='firm'), "weights 'firm' is unknown"),
        (dict(layers=(2, 3)), r'layers \(2, 3\) is no range of the 3 layers'),
        (dict(layers=(2, 1)), r'layers \(2, 1\)'),
        (dict(layers=(0, 1, 2)), r'layers \(0, 1, 2\) is no range'),
        (dict(layers=()), r'layers \(\) is no range'),
        (dict(head_fusion='sum'), "head_fusion 'sum' is unknown"),
    ],
)
def test_bad_options_are_named(predicted, options, message):
    model, data = predicted('detector', (32, 32), detected((32, 32), [[0.0, 0, 8, 8]], [5], [0.9]))

    with pytest.raises(UserError, match=message):
        dense_rollout(model, data, **options)


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (ValueError('no\n  room'), 'no room'),
        (AssertionError(), 'AssertionError'),
        (KeyError('img_shape'), "'img_shape'"),
    ],
)
def test_what_the_model_says_of_an_image_it_cannot_take_is_told(
    build, image_data, monkeypatch, error, reason
):
    model, data = build('classifier'), image_data('classifier', 64, 64)

    def fail(data):
        raise error

    monkeypatch.setattr(model, 'test_step', fail)
    with pytest.raises(UserError, match=rf'of shape \(3, 64, 64\): {reason}; prepare it with'):
        dense_rollout(model, data)


def test_a_model_without_names_is_asked_for_indices():
    with pytest.raises(
        UserError, match='^class .cat. is not one of the model, which knows no names'
    ):
        class_label([], 'cat')


@pytest.mark.parametrize('advised', [[5], None])
def test_the_classes_that_an_error_advises_are_there(predicted, advised):
    model, data = predicted('detector', (32, 32), detected((32, 32), [[0.0, 0, 8, 8]], [5], [0.9]))
    with pytest.raises(UserError, match='ask for one of these, or leave classes out to get them'):
        dense_rollout(model, data, [9])

    assert list(dense_rollout(model, data, advised)) == [5]


def test_the_threshold_that_an_error_advises_brings_a_class(predicted):
    model, data = predicted('detector', (32, 32), detected((32, 32), [[0.0, 0, 8, 8]], [5], [0.2]))
    with pytest.raises(UserError, match='no class at all; lower score_threshold, or give another'):
        dense_rollout(model, data, [5])

    assert list(dense_rollout(model, data, [5], score_threshold=0.1)) == [5]


def test_a_backbone_outside_the_family_is_named(build, image_data):
    model = build('classifier')
    model.backbone = VisionTransformer('deit-tiny', img_size=64)

    with pytest.raises(UserError, match='backbone VisionTransformer, which is none of'):
        dense_rollout(model, image_data('classifier', 64, 64))


def test_an_image_that_the_model_cannot_take_is_named(build, image_data):
    data = image_data('segmentor', 48, 40)
    grey = dict(data, inputs=[data['inputs'][0][:1]])
    two = dict(inputs=data['inputs'] * 2, data_samples=data['data_samples'] * 2)
    empty = dict(data, inputs=[data['inputs'][0][:, :0]])

    for wrong, message in ((grey, r'\(1, 48, 40\)'), (two, '2 images'), (empty, r'\(3, 0, 40\)')):
        with pytest.raises(UserError, match=message):
            dense_rollout(build('segmentor'), wrong)


def test_a_model_that_looks_in_several_pieces_is_told_how_not_to(build, image_data):
    model = build('segmentor')
    model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(32, 32))

    with pytest.raises(UserError, match=r'backbone 4 times .* set model\.test_cfg\.mode=whole'):
        dense_rollout(model, image_data('segmentor', 48, 40))

    model.test_cfg.update(mode='whole')
    assert dense_rollout(model, image_data('segmentor', 48, 40))
