"""A calibrated step: what it computes, where, and that nothing else of a classifier changes."""

from itertools import product

import pytest
import torch
from calibrated_models import (
    ARCH,
    CLASSES,
    LOSSES,
    VARIANTS,
    GivenForeground,
    build,
    gradients,
    images,
    samples,
    total,
)
from mmpretrain.registry import MODELS
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

import mmtoken.vit.fused_attention as fused
import mmtoken.vit_calibrator.calibration_loss as losses_module
from mmtoken.errors import UserError
from mmtoken.life.depthwise import DepthwiseConv2d
from mmtoken.vit.second_gradients import second_gradients_expected
from mmtoken.vit_calibrator.calibration_loss import Judgment
from mmtoken.vit_calibrator.evidence import Place, run_watched
from mmtoken.vit_calibrator.foreground import scores_of

LABELS = torch.tensor([3, 0, 4, 1])


def learn(model, *active, inputs=None):
    """One backward pass; losses and gradients."""
    model.set_active(active)
    model.zero_grad()
    losses = model.loss(images() if inputs is None else inputs, samples())
    total(losses).backward()
    return {name: value.detach() for name, value in losses.items()}, gradients(model)


@pytest.fixture
def attention_calls(monkeypatch):
    """Images of each fused call, and whether it was the one that can be differentiated twice."""
    calls, real = [], fused.F.scaled_dot_product_attention

    def record(q, *args, **kwargs):
        calls.append((len(q), not torch.backends.cuda.flash_sdp_enabled()))
        return real(q, *args, **kwargs)

    monkeypatch.setattr(fused.F, 'scaled_dot_product_attention', record)
    return calls


@pytest.mark.parametrize('backbone', ['TokenViT', 'LIFEViT'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_every_loss_teaches_every_layer(backbone, variant):
    calibration = dict(LOSSES)
    if variant == 'shared':
        del calibration['inter']  # Its last layer has no map of its own.
    model = build(backbone, calibration, **VARIANTS[variant])

    losses, found = learn(model, *calibration)

    assert {f'loss_{name}' for name in calibration} < losses.keys()
    assert all(losses[f'loss_{name}'] > 0 for name in calibration)
    assert found.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize('backbone', ['TokenViT', 'LIFEViT'])
@pytest.mark.parametrize(
    ('variant', 'name'),
    # Where layers share, the last one has no map of its own for 'inter' to look at.
    [case for case in product([*VARIANTS, 'windows'], LOSSES) if case != ('shared', 'inter')],
)
def test_each_loss_alone_teaches_from_the_stem_to_the_head(backbone, variant, name):
    options = {**VARIANTS, 'windows': dict(window_size=2, global_attn_indexes=(3,))}[variant]
    model = build(backbone, {name: LOSSES[name]}, **options)
    model.set_active((name,))

    model.loss(images(), samples())[f'loss_{name}'].backward()

    for part in ('backbone.patch_embed.projection.weight', 'head.fc.weight'):
        gradient = model.get_parameter(part).grad
        assert gradient.isfinite().all() and gradient.abs().sum() > 0, part


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('variant', ['class token', 'mean'])
def test_gradients_are_those_of_finite_differences(name, variant):
    arch = dict(ARCH, embed_dims=6, num_heads=2, num_layers=2, feedforward_channels=8)
    model = small(arch, name, VARIANTS[variant])
    model.set_active((name,))

    names = ('backbone.pos_embed', 'backbone.layers.1.attn.qkv.weight', 'head.fc.bias')

    def loss_of(*values):
        state = dict(zip(names, values, strict=True))
        inputs = images().double(), samples(), 'loss'
        return functional_call(model, state, inputs)[f'loss_{name}']

    values = [model.get_parameter(each).detach().clone().requires_grad_() for each in names]
    assert gradcheck(loss_of, values, atol=1e-6)


def small(arch, name, variant):
    """A model of 64-bit numbers with one loss, small enough for finite differences."""
    torch.manual_seed(3)
    model = MODELS.build(
        dict(
            type='CalibratedClassifier',
            backbone=dict(type='TokenViT', arch=arch, img_size=16, patch_size=8, **variant),
            head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=arch['embed_dims']),
            calibration={name: LOSSES[name]},
            foreground=dict(type='AutomaticForeground'),
        )
    ).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.foreground = GivenForeground(torch.tensor([[1.0, 0, 0, 1]] * 4, dtype=torch.float64))
    for loss in model.calibration.values():
        for layer, width in loss.widths.items() if loss.needs_rules else ():
            loss.put_rules(layer, torch.rand(CLASSES, width) < 0.4)
    return model.eval()


def test_scores_are_differentiable_twice():
    arch = dict(ARCH, embed_dims=6, num_heads=2, num_layers=2, feedforward_channels=8)
    model = small(arch, 'token', {})
    tokens = model.backbone.embed(images(1).double())
    tokens = model.backbone.run(tokens, 0, 1)

    def score(x):
        left, _ = run_watched(model.backbone, tokens.with_(x=x), 1, [Place('tokens', 0)])
        return scores_of(model, left)[:, 2]

    assert gradgradcheck(score, tokens.x.detach().requires_grad_(), atol=1e-6)


def test_unfused_attention_is_for_calibrated_layers_and_images_alone(attention_calls):
    model = build(images=0.5)
    learn(model, 'token')

    # TokenPropagation looks at what leaves layer 2 of 4: the last one runs again in two parts.
    assert attention_calls == [(4, False)] * 3 + [(2, True), (2, False)]


def test_convolutions_are_told_of_second_gradients_in_calibrated_layers_alone():
    model = build('LIFEViT')
    told = {}
    for name, module in model.backbone.named_modules():
        if isinstance(module, DepthwiseConv2d):
            layer = int(name.split('.')[1])
            module.register_forward_hook(
                lambda *_, layer=layer: told.update({layer: second_gradients_expected()})
            )
    learn(model, 'token')

    # As above, the last layer alone.
    assert told == {0: False, 1: False, 2: False, 3: True}


def test_the_last_layers_dimensions_need_no_unfused_attention(attention_calls):
    learn(build(), 'dimension')

    assert attention_calls == [(4, False)] * 4


def test_images_without_a_known_foreground_are_classified_alone(attention_calls):
    model = build()
    model.foreground.known[:] = False
    losses, found = learn(model, 'token')
    model.set_active(())
    plain = model.loss(images(), samples())

    assert attention_calls[:4] == [(4, False)] * 4
    assert losses['loss_token'] == 0
    assert found.keys() == gradients_of_plain(model).keys()
    torch.testing.assert_close(losses['loss_cls'], plain['loss'])


def gradients_of_plain(model):
    """Gradients of the head's loss alone."""
    return learn(model)[1]


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_batch_in_two_parts_is_classified_as_one(variant):
    model = build(images=0.5, calibration=dict(token=LOSSES['token']), **VARIANTS[variant])
    model.set_active(('token',))
    split = model.loss(images(), samples())['loss_cls']
    model.set_active(())

    torch.testing.assert_close(split, model.loss(images(), samples())['loss'])


@pytest.mark.parametrize('known', [(0, 1, 0, 1), (1, 0, 0, 1), (0, 0, 1, 1)])
def test_parts_go_back_to_their_places(known):
    model = build()
    model.foreground.known = torch.tensor(known).bool()
    losses, _ = learn(model, 'token')
    model.set_active(())

    expected = model.loss(images(), samples())['loss']
    torch.testing.assert_close(losses['loss_cls'], expected.detach())


def test_images_of_classes_without_a_rule_are_not_calibrated(attention_calls):
    model = build(calibration=dict(dimension=dict(LOSSES['dimension'], layers=1)))
    rules = torch.ones(CLASSES, 24, dtype=torch.bool)
    rules[0, :12] = False
    model.calibration['dimension'].put_rules(1, rules)

    losses, _ = learn(model, 'dimension')

    # Of class 0 is one of the four.
    assert losses['dimension_images'] == 1
    assert attention_calls == [(4, False)] * 2 + [(1, True)] * 2 + [(3, False)] * 2


def test_parts_of_a_batch_count_as_the_whole_would():
    whole, part = build(), build(images=0.5)
    whole.foreground = GivenForeground(part.foreground.share[:2])
    whole.set_active(('token',))
    expected = whole.loss(images()[:2], samples((3, 0)))

    losses, _ = learn(part, 'token')

    torch.testing.assert_close(losses['loss_token'], expected['loss_token'])


def test_no_foreground_is_looked_for_in_images_that_are_not_calibrated():
    model, asked = build(images=0.5), []
    model.foreground.register_forward_pre_hook(
        lambda _, batch: asked.append([len(part) for part in batch[:3]])
    )
    learn(model, 'token')

    assert asked == [[2, 2, 2]]


def test_recomputed_layers_learn_the_same():
    _, expected = learn(build(), *LOSSES)
    _, found = learn(build(with_cp=True), *LOSSES)

    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    'variant',
    # Without anything that is added to them, tokens come in the lower precision.
    [{}, dict(VARIANTS['no auxiliary tokens'], position=dict(type='RotaryPosition'))],
    ids=['class token', 'nothing added'],
)
def test_relevance_stays_in_float32_under_mixed_precision(variant):
    model = build(**variant)
    expected, _ = learn(model, *LOSSES)
    with torch.autocast('cpu', torch.bfloat16):
        losses, found = learn(model, *LOSSES)

    for name in ('loss_token', 'loss_dimension'):
        assert losses[name].dtype == torch.float32
        torch.testing.assert_close(losses[name], expected[name], atol=0.02, rtol=0.05)
    assert all(value.isfinite().all() for value in found.values())


def test_calibrated_layers_and_the_head_run_in_float32_under_mixed_precision():
    model, kinds = build('LIFEViT'), {}

    def keep(name, out):
        kinds.setdefault(name, out.dtype)

    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.register_forward_hook(lambda *passed, name=name: keep(name, passed[2]))
    with torch.autocast('cpu', torch.bfloat16):
        learn(model, 'token')

    # As above, of the layers the last one alone; the head is asked once more, for its own loss.
    exact = {name for name in kinds if name.startswith(('backbone.layers.3', 'head'))}
    assert {kinds[name] for name in exact} == {torch.float32}
    assert {kinds[name] for name in kinds.keys() - exact} == {torch.bfloat16}
    assert exact >= {'backbone.layers.3.attn.proj', 'backbone.layers.3.ffn.layers.1', 'head.fc'}


def test_weights_are_those_of_an_ordinary_classifier():
    model = build()
    plain = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='TokenViT', arch=ARCH, img_size=16, patch_size=4),
            head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=24),
        )
    )

    assert not plain.load_state_dict(model.state_dict()).missing_keys
    model.eval(), plain.eval()
    torch.testing.assert_close(
        model(images(), mode='tensor'), plain(images(), mode='tensor'), rtol=0, atol=0
    )


@pytest.mark.parametrize('name', ['token', 'dimension', 'intra', 'inter'])
def test_frozen_layers_are_calibrated_through(name):
    model = build(frozen_stages=3)

    losses, found = learn(model, name)

    assert losses[f'loss_{name}'] > 0
    assert found.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert any(name.startswith('backbone.layers.3') for name in found)
    # Those of the loss itself, too.
    model.zero_grad()
    model.loss(images(), samples())[f'loss_{name}'].backward()
    assert model.head.fc.weight.grad.abs().sum() > 0


def test_a_frozen_backbone_has_a_head_to_learn():
    losses, found = learn(build(frozen_stages=4), 'dimension')

    assert losses['loss_dimension'] > 0 and set(found) == {'head.fc.weight', 'head.fc.bias'}


def test_a_neck_with_weights_works_under_mixed_precision():
    torch.manual_seed(0)
    model = build(neck=dict(type='LinearNeck', in_channels=24, out_channels=24))
    with torch.autocast('cpu', torch.bfloat16):
        losses, _ = learn(model, *LOSSES)

    assert all(value.isfinite() for value in losses.values())


def test_processes_count_images_together(monkeypatch):
    loss = Judgment(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([True, True, False]))
    monkeypatch.setattr(losses_module, 'all_reduce', lambda t, op: t.fill_(4.0))

    # The other process has six: the mean of both is a mean over eight.
    assert loss.shared_mean() == 1.0 and loss.mean() == 2.0


def test_no_loss_acts_before_a_hook_says_so():
    with pytest.raises(UserError, match='never told which losses act; add'):
        build().loss(images(), samples())


def test_a_loss_that_is_not_there_is_named():
    with pytest.raises(UserError, match="loss 'tokens' is not in calibration .*mean 'token'"):
        build().set_active(('tokens',))


def test_mixed_labels_are_refused_and_scores_of_one_class_are_not():
    model, mixed, single = build(), samples(), samples()
    for sample, score in zip(mixed, torch.eye(CLASSES)[LABELS] * 0.6 + 0.08, strict=True):
        sample.set_gt_score(score)
    for sample, score in zip(single, torch.eye(CLASSES)[LABELS], strict=True):
        sample.set_gt_score(score)
    model.set_active(('token',))

    with pytest.raises(UserError, match='calibrated batch are mixed.*SwitchRecipeHook'):
        model.loss(images(), mixed)
    torch.testing.assert_close(
        model.loss(images(), single)['loss_token'], model.loss(images(), samples())['loss_token']
    )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(images=0), 'images 0 is not a number above 0'),
        (dict(images=1.5), 'images 1.5 is no share of a batch'),
        (dict(calibration={}), r'calibration \{\} names no loss'),
        (dict(calibration=dict(a=dict(type='LinearClsHead', num_classes=2, in_channels=2))),
         'calibration.a is a LinearClsHead, which is no CalibrationLoss'),
        (dict(calibration=dict(cls=dict(type='ChannelLoss'))), "a loss of the name 'cls'"),
        (dict(calibration=dict(my_loss=dict(type='ChannelLoss'))), "a loss of the name 'my_loss'"),
        (dict(calibration={'a.b': dict(type='ChannelLoss')}), "a loss of the name 'a.b'"),
        *((dict(calibration={name: dict(type='ChannelLoss')}), f"of the name '{name}', which torch")
          for name in ('values', 'type', 'training', '')),
        (dict(calibration=dict(type='TokenPropagation')),
         "calibration.type 'TokenPropagation' is not the config of a loss"),
        (dict(foreground=dict(type='TokenPropagation')),
         'foreground is a TokenPropagation, which is no ForegroundSource; use one, such as Supp'),
        (dict(foreground=None), 'calibration.token needs to know the foreground'),
        (dict(out_indices=(1, 3)), r'out_indices \(1, 3\) of the backbone are several outputs'),
        (dict(calibration=dict(token=dict(type='TokenPropagation', layers=(3,)))),
         'layers \\(3,\\) of TokenPropagation have one after layer 2'),
        (dict(calibration=dict(inter=dict(type='InterTokenLoss')), window_size=2),
         'InterTokenLoss reads the attention of layer 3, which has windows'),
        (dict(calibration=dict(inter=dict(type='InterTokenLoss', layers=1)), pattern='FFSF'),
         'attention of layer 1, which has windows or a map in common with another layer'),
        (dict(calibration=dict(inter=dict(type='InterTokenLoss')), attn_drop_rate=0.2),
         'attention of layer 3, which drops 0.2 of its weights .* set attn_drop_rate=0.0'),
        (dict(calibration=dict(d=dict(type='DimensionPropagation', control='randon'))),
         "control 'randon' is unknown.*mean 'random'"),
        (dict(calibration=dict(d=dict(type='DimensionPropagation', layers=4))),
         r'layers of DimensionPropagation \(4,\) is not a choice of layers 0..3'),
        (dict(calibration=dict(d=dict(type='DimensionPropagation', fewest=0.6))),
         'fewest 0.6 and most 0.5 are no range'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)


def test_a_map_that_is_shared_above_the_last_output_is_the_layers_own():
    model = build(calibration={'inter': LOSSES['inter']}, pattern='FFFS', out_indices=2)

    losses, _ = learn(model, 'inter')

    assert losses['loss_inter'] > 0


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='ResNet', depth=18),
        dict(
            type='LoRABackbone', module=dict(type='TokenViT', arch=ARCH, img_size=16, patch_size=4)
        ),
    ],
    ids=lambda backbone: backbone['type'],
)
def test_other_models_are_refused(backbone):
    name = backbone['type']
    with pytest.raises(
        UserError, match=f'backbone {name} is no TokenViT; .* no pyramid, and no LoRAB'
    ):
        MODELS.build(
            dict(
                type='CalibratedClassifier',
                backbone=backbone,
                head=dict(type='LinearClsHead', num_classes=2, in_channels=512),
                calibration=LOSSES,
            )
        )
