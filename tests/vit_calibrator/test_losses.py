"""Each loss against its formula, written out, with attention as the full matrix."""

import pytest
import torch
from calibrated_models import CLASSES, LOSSES, GivenForeground, build, images, samples
from explicit_attention import explicit_attention

from mmtoken.vit_calibrator.calibration_loss import Case
from mmtoken.vit_calibrator.evidence import Evidence, Place

LABELS = torch.tensor([3, 0, 4, 1])


def forward(model, inputs):
    """Tokens that leave each layer, the last attention and MLP, and the scores, step by step."""
    backbone, left = model.backbone, []
    tokens = backbone.embed(inputs)
    for layer in backbone.layers:
        normed = tokens.with_(x=layer.ln1(tokens.x))
        attention = explicit_attention(layer.attn, normed)
        v = layer.attn.qkv(normed)[2].unflatten(-1, (3, -1)).transpose(1, 2)
        x = tokens.x + layer.attn.proj((attention @ v).transpose(1, 2).flatten(2))
        hidden = layer.ffn.layers[0][1](layer.ffn.layers[0][0](layer.ln2(x)))
        tokens = tokens.with_(x=x + layer.ffn.layers[1](hidden))
        left.append(tokens.x)
    out = backbone.ln1(tokens.x)
    pooled = out[:, 0] if backbone.out_type == 'cls_token' else out[:, 1:].mean(dim=1)
    return left, attention, hidden, model.head.fc(pooled)


def of_class(scores, labels=LABELS):
    return scores[torch.arange(len(labels)), labels]


def grad(score, value):
    return torch.autograd.grad(score.sum(), value, retain_graph=True)[0]


def rivals_of(scores):
    others = scores.detach().clone()
    others[torch.arange(4), LABELS] = -torch.inf
    return others.argmax(1)


def found(name, variant):
    model = build(calibration={name: LOSSES[name]}, **variant)
    model.set_active((name,))
    losses = model.loss(images(), samples())
    return model, losses, losses[f'loss_{name}'] / model.calibration[name].loss_weight


MEAN, TOKEN = dict(out_type='avg_featmap'), {}
TURNED = dict(position=dict(type='RotaryPosition'), qk_norm=True)


@pytest.mark.parametrize(('variant', 'layers'), [(TOKEN, [2]), (MEAN, [2, 3])])
def test_token_propagation(variant, layers):
    model, losses, loss = found('token', variant)
    left, _, _, scores = forward(model, images())
    inside, expected, weights, before = model.foreground.share, 0.0, 0.0, None
    for layer in layers:
        relevance = (grad(of_class(scores), left[layer]) * left[layer]).relu()[:, 1:].sum(-1)
        share = (relevance * inside).sum(1) / relevance.sum(1)
        torch.testing.assert_close(losses[f'token_foreground_share_{layer}'], share.mean())
        lost = 0.0 if before is None else (before - share).relu()
        weight, before = (layer + 1) / 4, share
        expected, weights = expected + weight * (1 - share + lost), weights + weight

    torch.testing.assert_close(loss, (expected / weights).mean())


@pytest.mark.parametrize('layers', [(0, 1, 2), (0, 2)])
def test_relevance_that_is_lost_on_the_way_costs_as_much_as_gamma_says(layers):
    def loss(gamma):
        model = build(calibration=dict(
            token=dict(type='TokenPropagation', layers=layers, gamma=gamma)))  # fmt: skip
        model.set_active(('token',))
        found = model.loss(images(), samples())
        return found['loss_token'].detach(), found

    without, found = loss(0.0)
    once, _ = loss(1.0)
    thrice, _ = loss(3.0)

    assert once > without
    torch.testing.assert_close(thrice - without, 3 * (once - without))


def test_images_without_relevance_of_patches_do_not_count():
    loss, place = (
        build(calibration={'token': LOSSES['token']}).calibration['token'],
        Place('tokens', 2),
    )
    gradients = torch.ones(2, 17, 24)
    gradients[1, 1:] = 0
    evidence = Evidence({place: torch.ones(2, 17, 24)}, {place: gradients}, 1)
    shares = {2: torch.tensor([[1.0] * 4 + [0.0] * 12] * 2)}

    judgment = loss(Case(evidence, LABELS[:2], foreground=shares, known=torch.ones(2).bool()))

    assert judgment.counted.tolist() == [True, False]
    assert judgment.mean() == 0.75 and judgment.logs['foreground_share_2'] == 0.25


@pytest.mark.parametrize('variant', [TOKEN, MEAN])
def test_dimension_propagation_with_the_runner_up(variant):
    model, _, loss = found('dimension', variant)
    left, _, _, scores = forward(model, images())
    rules, rivals = model.calibration['dimension'].rules(3).float(), rivals_of(scores)

    def relevance(labels):
        e = (grad(of_class(scores, labels), left[3]) * left[3]).relu().sum(1)
        return e / e.sum(1, keepdim=True)

    own = (relevance(LABELS) * (1 - rules[LABELS])).sum(1)
    other = (relevance(rivals) * rules[rivals]).sum(1)
    torch.testing.assert_close(loss, (own + 0.5 * other).mean())


def test_dimensions_of_several_layers_count_as_their_mean():
    def loss(layers):
        model = build(calibration=dict(d=dict(type='DimensionPropagation', layers=layers)))
        rules = torch.arange(CLASSES * 24).view(CLASSES, 24) % 3 == 0
        for layer in model.calibration['d'].layers:
            model.calibration['d'].put_rules(layer, rules)
        model.set_active(('d',))
        return model.loss(images(), samples())['loss_d']

    torch.testing.assert_close(loss((2, 3)), (loss(2) + loss(3)) / 2)


@pytest.mark.parametrize('variant', [TOKEN, MEAN, TURNED])
def test_inter_token_loss(variant):
    model, _, loss = found('inter', variant)
    _, attention, _, scores = forward(model, images())
    gradient = grad(of_class(scores.softmax(1)), attention)
    weights = (gradient.relu() * attention).mean(1)

    expected = (weights.sum(1)[:, 1:] * (1 - model.foreground.share)).sum(1).mean()
    torch.testing.assert_close(loss, expected)


def test_attention_counts_for_images_of_known_foreground_alone():
    model = build(calibration={name: LOSSES[name] for name in ('inter', 'dimension')})
    known = torch.tensor([True, False, False, True])
    model.foreground = GivenForeground(model.foreground.share, known)
    model.set_active(('inter',))
    alone = model.loss(images(), samples())
    model.set_active(('inter', 'dimension'))
    beside = model.loss(images(), samples())

    torch.testing.assert_close(beside['loss_inter'], alone['loss_inter'])
    assert beside['inter_images'] == 2 and beside['dimension_images'] == 4


def test_rules_of_the_mlp_are_of_activations_from_0_to_1():
    model = build(calibration={'intra': LOSSES['intra']}).eval()
    loss = model.calibration['intra']

    ((statistics,),) = (found.values() for found in model.statistics(images(), LABELS, [loss]))

    assert statistics.amin(1).tolist() == [0] * 4 and statistics.amax(1).tolist() == [1] * 4
    assert loss.decide(torch.tensor([[0.15, 0.149, 1.0]])).tolist() == [[True, False, True]]


@pytest.mark.parametrize('variant', [TOKEN, MEAN])
def test_intra_token_loss(variant):
    model, _, loss = found('intra', variant)
    _, _, hidden, scores = forward(model, images())
    relevance = grad(of_class(scores.softmax(1)), hidden).relu() * hidden
    relevance = relevance[:, 0] if variant is TOKEN else relevance.sum(1)
    rules = model.calibration['intra'].rules(3).float()

    torch.testing.assert_close(loss, (relevance * (1 - rules[LABELS])).sum(1).mean())


@pytest.mark.parametrize('variant', [TOKEN, MEAN])
def test_channel_loss(variant):
    model, _, loss = found('channel', variant)
    left, _, _, scores = forward(model, images())
    rules, rivals = model.calibration['channel'].rules(3).float(), rivals_of(scores)
    own = grad(of_class(scores), left[3]).relu().sum(1) * (1 - rules[LABELS])
    other = grad(of_class(scores, rivals), left[3]).relu().sum(1) * rules[rivals]

    torch.testing.assert_close(loss, (own + other).sum(1).mean())


def test_the_rival_of_a_right_decision_is_the_second_best_class():
    model, cases = build(calibration={'dimension': LOSSES['dimension']}).eval(), []
    model.calibration['dimension'].register_forward_pre_hook(lambda _, args: cases.extend(args))
    best, second = model(images(), mode='tensor').topk(2).indices.T
    labels = torch.cat([second[:1], best[1:]])
    model.set_active(('dimension',))
    model.loss(images(), samples(labels.tolist()))

    assert cases[0].rivals.tolist() == [*best[:1].tolist(), *second[1:].tolist()]


@pytest.mark.parametrize('name', ['dimension', 'channel'])
def test_a_rival_without_a_rule_costs_nothing(name):
    def loss(rivals_have_rules):
        model, cases = build(calibration={name: LOSSES[name]}), []
        loss, means = model.calibration[name], torch.rand(CLASSES, 24)
        loss.register_forward_pre_hook(lambda _, args: cases.extend(args))
        model.set_active((name,))
        model.loss(images()[:1], samples([3]))
        counted = torch.ones(CLASSES, dtype=torch.bool)
        counted[cases[0].rivals] = rivals_have_rules
        loss.set_rules({3: means.clone()}, counted)
        return model.loss(images()[:1], samples([3]))[f'loss_{name}']

    assert 0 < loss(False) < loss(True)


@pytest.mark.parametrize('name', ['dimension', 'channel', 'intra'])
def test_images_of_classes_without_a_rule_do_not_count(name):
    model = build(calibration={name: LOSSES[name]})
    counted = torch.ones(CLASSES, dtype=torch.bool)
    counted[LABELS[:3]] = False
    loss = model.calibration[name]
    width = loss.widths[3]
    loss.set_rules({3: torch.rand(CLASSES, width) ** 3}, counted)
    model.set_active((name,))
    found = model.loss(images(), samples())
    alone = model.loss(images()[3:], samples(LABELS[3:].tolist()))

    assert found[f'{name}_images'] == 1 and found[f'loss_{name}'] > 0
    torch.testing.assert_close(found[f'loss_{name}'], alone[f'loss_{name}'])


def test_dimensions_above_the_threshold_and_no_fewer_nor_more_than_allowed():
    loss = build().calibration['dimension']
    means = torch.zeros(3, 20)
    means[0, :4] = torch.tensor([0.15, 0.14, 0.5, 0.2])
    means[1] = torch.arange(20) / 20 + 0.2
    means[2, 7] = 0.01

    rules = loss.decide(means)

    assert rules[0].nonzero().flatten().tolist() == [0, 2, 3]
    assert rules[1].nonzero().flatten().tolist() == [*range(10, 20)]
    assert rules[2].nonzero().flatten().tolist() == [7]


def test_channels_are_kept_by_their_place_between_the_least_and_the_greatest():
    means = torch.tensor([[1.0, 2.0, 1.21, 1.19]])

    assert build().calibration['channel'].decide(means).tolist() == [[False, True, True, False]]


def test_controls_keep_how_many_dimensions_a_class_has_but_not_which():
    means, counted = torch.rand(CLASSES, 24) ** 3, torch.tensor([True, True, False, True, True])

    def rules(control):
        calibration = dict(d=dict(type='DimensionPropagation', control=control))
        loss = build(calibration=calibration).calibration['d']
        loss.set_rules({3: means}, counted)
        return loss.rules(3)

    plain, random, shuffled = rules(None), rules('random'), rules('shuffled')
    assert torch.equal(random.sum(1), plain.sum(1)) and not torch.equal(random, plain)
    assert torch.equal(shuffled[[0, 1, 3, 4]], plain[[4, 0, 1, 3]])
    assert plain[2].all() and random[2].all() and shuffled[2].all()


def test_dimensions_at_random_are_the_same_for_the_same_rules_and_others_for_others():
    calibration = dict(d=dict(type='DimensionPropagation', control='random'))
    loss = build(calibration=calibration).calibration['d']
    means, counted = torch.rand(CLASSES, 24) ** 3, torch.ones(CLASSES, dtype=torch.bool)

    def drawn(means):
        loss.set_rules({3: means}, counted)
        return loss.rules(3)

    first = drawn(means)
    assert torch.equal(drawn(means), first)
    means[0] = means[0].roll(1)
    # Another classifier, though most of its classes have the rules of before.
    other = drawn(means)
    assert torch.equal(other.sum(1), first.sum(1))
    assert not torch.equal(other[1:], first[1:])
