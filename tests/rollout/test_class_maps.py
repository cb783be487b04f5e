"""`dense_rollout` on segmentors, detectors and classifiers of the three libraries."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmpretrain.models import VisionTransformer
from mmseg.structures import SegDataSample

from mmtoken.errors import UserError
from mmtoken.rollout import capture, dense_rollout, find_token_sets, overlay, upsample
from mmtoken.rollout.explicit import roll_back_explicitly

KINDS = ['segmentor', 'detector', 'classifier']
SIZES = {'segmentor': (48, 40), 'detector': (48, 40), 'classifier': (64, 64)}


def explicit_maps(taken, sets, layers=(0, -1)):
    steps = taken.select(layers)
    weights = torch.stack([found.weights for found in sets])
    rolled = roll_back_explicitly(steps, weights, 'mean', 0.0)
    return rolled[:, steps[0].tokens.num_aux :].unflatten(1, steps[0].tokens.grid)


@pytest.fixture
def predicted(build, image_data, monkeypatch):
    """A function that captures a model whose prediction is replaced by a hand-made one."""

    def make(kind, size, prediction, **backbone):
        model, data = build(kind, **backbone), image_data(kind, *size)
        predict = model.test_step

        def test_step(data):
            predict(data)
            return [prediction]

        monkeypatch.setattr(model, 'test_step', test_step)
        return model, data

    return make


def segmented(logits):
    sample = SegDataSample()
    sample.set_data(dict(seg_logits=PixelData(data=logits)))
    return sample


def detected(shape, boxes, labels, scores, masks=None):
    fields = dict(bboxes=torch.tensor(boxes), labels=torch.tensor(labels))
    fields |= dict(scores=torch.tensor(scores)) | ({} if masks is None else dict(masks=masks))
    return DetDataSample(metainfo=dict(ori_shape=shape), pred_instances=InstanceData(**fields))


def patches(found):
    """The indices of the patches of a set, behind one class token."""
    return (found.weights[1:] > 0).nonzero().flatten().tolist()


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


def test_the_model_is_left_as_it_was(build, image_data):
    model = build('segmentor').train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = image_data('segmentor', 48, 40)

    dense_rollout(model, data)

    assert model.training
    assert not model.backbone.layers[0]._forward_hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert 'seg_logits' not in data['data_samples'][0]


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


def test_masks_go_before_boxes_and_soft_weights_are_covered_shares(predicted):
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, :8, :12] = True
    sample = detected((32, 32), [[0.0, 0.0, 32.0, 32.0]], [4], [0.9], mask)
    model, data = predicted('detector', (32, 32), sample)

    taken = capture(model, data)

    assert patches(find_token_sets(taken).classes[4]) == [0, 1]
    soft = find_token_sets(taken, 'soft').classes[4]
    torch.testing.assert_close(soft.weights[1:3], torch.tensor([2 / 3, 1 / 3]))


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
        (dict(classes=['cat']), "class 'cat' is not one of the model"),
        (dict(weights='firm'), "weights 'firm' is unknown"),
        (dict(layers=(2, 3)), r'layers \(2, 3\) is no range of the 3 layers'),
        (dict(layers=(2, 1)), r'layers \(2, 1\)'),
        (dict(head_fusion='sum'), "head_fusion 'sum' is unknown"),
    ],
)
def test_bad_options_are_named(predicted, options, message):
    model, data = predicted('detector', (32, 32), detected((32, 32), [[0.0, 0, 8, 8]], [5], [0.9]))

    with pytest.raises(UserError, match=message):
        dense_rollout(model, data, **options)


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


def test_a_model_that_looks_in_several_pieces_is_refused(build, image_data):
    model = build('segmentor')
    model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(32, 32))

    with pytest.raises(UserError, match='runs its backbone 4 times'):
        dense_rollout(model, image_data('segmentor', 48, 40))
