"""Aligned targets equal the K-channel labels; without mixing the classifier is mmpretrain's."""

import warnings

import numpy as np
import pytest
import torch
from aligned_models import ARCH, CLASSES, VARIANTS, build, explicit_labels, samples
from explicit_attention import explicit_attention, layers_of, pooling_matrix
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.registry import MODELS

from mmtoken.errors import UserError
from mmtoken.mixing import Mixed, PatchCutMix
from mmtoken.mixing.mixed_classifier import targets
from mmtoken.mixing.target_rules import TransMixRule

LABELS = [3, 0, 4, 1]


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


def images(batch=4, size=(24, 24)):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def mix(batch=4, size=(24, 24), per_image=True, seed=0):
    np.random.seed(seed)
    mixed = PatchCutMix(4, per_image=per_image).mix(images(batch, size))
    assert mixed.pasted
    return mixed


def one_hot(labels):
    return torch.nn.functional.one_hot(torch.tensor(labels), CLASSES).float()


def explicit_targets(model, mixed, scores):
    """The K-channel labels of what the head classifies, (T, B, K)."""
    labels = explicit_labels(model.backbone, mixed, scores)
    num_aux = model.backbone.num_aux_tokens
    if model.backbone.out_type == 'cls_token':
        return labels[:, : model.backbone.num_class_tokens].transpose(0, 1)
    return labels[:, num_aux:].mean(1)[None]


@pytest.mark.parametrize('backbone', ['TokenViT', 'LIFEViT'])
def test_target_is_the_k_channel_product(backbone, variant):
    model, mixed = build(backbone, **variant), mix()

    with torch.no_grad():
        _, weights = model.align(mixed)
        expected = explicit_targets(model, mixed, one_hot(LABELS))

    torch.testing.assert_close(targets(one_hot(LABELS), weights), expected, rtol=0, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 5),
    height=st.integers(1, 26),
    width=st.integers(1, 26),
    per_image=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_batch_and_grid_is_aligned(batch, height, width, per_image, seed):
    np.random.seed(seed)
    mixed = PatchCutMix(4, per_image=per_image).mix(images(batch, (height, width)))
    model, scores = build(out_type='avg_featmap'), one_hot([(seed + i) % 5 for i in range(batch)])

    with torch.no_grad():
        _, weights = model.align(mixed)
        expected = explicit_targets(model, mixed, scores)

    torch.testing.assert_close(targets(scores, weights), expected, rtol=0, atol=1e-6)


def test_loss_is_the_smoothed_cross_entropy_of_each_head(variant):
    model, mixed, scores = build(**variant), mix(), one_hot(LABELS)

    with warnings.catch_warnings():
        # mmpretrain warns of training its distilled head, whose scores are averaged.
        warnings.simplefilter('error')
        loss = model.mixed_loss(mixed, scores)['loss']

    feats, _ = model.align(mixed)
    labels = explicit_targets(model, mixed, scores)
    layers = model.head.layers
    heads = [layers.head, layers.head_dist] if len(labels) == 2 else [layers.head]
    outputs = feats[-1] if len(labels) == 2 else feats
    expected = [
        -((0.9 * label + 0.1 / CLASSES) * head(out).log_softmax(-1)).sum(-1).mean()
        for head, out, label in zip(heads, outputs, labels, strict=True)
    ]
    torch.testing.assert_close(loss, sum(expected) / len(expected))


@pytest.mark.parametrize('loss', ['CrossEntropyLoss', 'LabelSmoothLoss'])
def test_losses_of_mmpretrain_take_the_target(loss):
    options = dict(label_smooth_val=0.0) if loss == 'LabelSmoothLoss' else {}
    model, mixed, scores = build(loss=dict(type=loss, **options)), mix(), one_hot(LABELS)

    found = model.mixed_loss(mixed, scores)['loss']

    feats, weights = model.align(mixed)
    expected = -(targets(scores, weights)[0] * model.head(feats).log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(found, expected)


def test_a_loss_of_every_score_is_the_mean_over_images():
    model, mixed = build(loss=dict(type='CrossEntropyLoss', use_sigmoid=True)), mix()

    found = model.mixed_loss(mixed, one_hot(LABELS))['loss']

    feats, weights = model.align(mixed)
    target = targets(one_hot(LABELS), weights)[0]
    scores = model.head(feats)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, target, reduction='sum')
    torch.testing.assert_close(found, expected / len(LABELS))


def test_a_call_scores_the_images():
    model = build().eval()

    scores = model(images())

    torch.testing.assert_close(scores, model.head(model.extract_feat(images())))


def test_the_middle_image_of_an_odd_batch_keeps_its_label_exactly():
    model, mixed, scores = build(), mix(batch=5), one_hot([0, 1, 2, 3, 4])

    _, weights = model.align(mixed)

    assert torch.equal(mixed.images[2], images(5)[2])
    assert torch.equal(targets(scores, weights)[0, 2], scores[2])


def test_gradients_are_those_of_a_constant_target(variant):
    model, mixed, scores = build(**variant), mix(), one_hot(LABELS)
    model.mixed_loss(mixed, scores)['loss'].backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]

    model.zero_grad()
    with torch.no_grad():
        _, weights = model.align(mixed)
    feats = model.backbone(mixed.images)
    feats = model.neck(feats) if model.with_neck else feats
    losses = [
        model.head.loss_module(score, target, avg_factor=4)
        for score, target in zip(model._classify(feats), targets(scores, weights), strict=True)
    ]
    (sum(losses) / len(losses)).backward()

    expected = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(expected) > 10
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_no_part_of_the_target_has_a_gradient():
    model = build()

    _, weights = model.align(mix())
    _, trace = model.backbone(images(), torch.rand(4, 37, 1))

    assert not weights.requires_grad
    assert not trace.requires_grad


def test_recomputing_layers_in_the_backward_pass_changes_nothing():
    gradients = []
    for recompute in (False, True):
        model = build(with_cp=recompute)
        model.mixed_loss(mix(), one_hot(LABELS))['loss'].backward()
        gradients.append([p.grad for p in model.parameters()])

    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('mode', ['tensor', 'predict', 'loss'])
@pytest.mark.filterwarnings('ignore:MMPretrain cannot train')
def test_evaluation_is_the_plain_classifier_bit_for_bit(mode, variant):
    aligned = build(**variant).eval()
    plain = build(kind='ImageClassifier', **variant).eval()

    ours, theirs = (model(images(), samples(LABELS), mode=mode) for model in (aligned, plain))

    if mode == 'predict':
        ours, theirs = (torch.stack([s.pred_score for s in found]) for found in (ours, theirs))
    elif mode == 'loss':
        ours, theirs = ours['loss'], theirs['loss']
    assert torch.equal(ours, theirs)
    assert list(aligned.state_dict()) == list(plain.state_dict())


def test_without_mix_training_is_the_plain_classifier_bit_for_bit():
    losses = [
        build(kind=kind, **options)(images(), samples(LABELS), mode='loss')['loss']
        for kind, options in (('TLAlignClassifier', dict(mix=None)), ('ImageClassifier', {}))
    ]

    assert torch.equal(*losses)


def test_a_batch_that_draws_no_box_trains_on_its_own_labels():
    model = build(mix=dict(type='PatchCutMix', prob=0.0))

    loss = model(images(), samples(LABELS), mode='loss')['loss']

    plain = build(kind='ImageClassifier')(images(), samples(LABELS), mode='loss')['loss']
    torch.testing.assert_close(loss, plain)


@pytest.mark.parametrize('target', ['tl_align', 'transmix', 'cutmix'])
def test_a_training_step_runs_through_the_preprocessor(target, variant):
    np.random.seed(0)
    model = build(target=target, mix=dict(type='PatchCutMix', per_image=True), **variant)
    batch = dict(inputs=images(5), data_samples=samples([0, 1, 2, 3, 4]))

    loss = model(**model.data_preprocessor(batch, training=True), mode='loss')['loss']

    assert loss.isfinite()


def test_soft_labels_of_augments_before_it_are_aligned():
    def half(images: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, 0.5 * scores + 0.5 / CLASSES

    model = build(train_cfg=dict(augments=half))
    model.data_preprocessor.num_classes = CLASSES
    data = model.data_preprocessor(
        dict(inputs=images(), data_samples=samples(LABELS)), training=True
    )

    scores = model._scores(data['data_samples'])

    assert scores.max(1).values.tolist() == pytest.approx([0.6] * len(LABELS))
    assert model(**data, mode='loss')['loss'].isfinite()


def test_cutmix_target_is_plain_lambda():
    model, mixed = build(target='cutmix'), mix()

    _, weights = model.align(mixed)

    assert torch.equal(weights, mixed.lam[:, None])


def test_transmix_target_is_half_area_half_attention_of_the_last_layer(variant):
    model, mixed = build(target='transmix', **variant), mix()

    with torch.no_grad():
        _, weights = model.align(mixed)

        pasted = mixed.mask.flatten(1)[:, :, None].float()
        for layer, tokens in layers_of(model.backbone, mixed.images):
            if not hasattr(layer, 'attn'):
                pasted = pooling_matrix(tokens.grid, 0) @ pasted
        attention = explicit_attention(layer.attn, tokens.with_(x=layer.ln1(tokens.x))).mean(1)
    num_aux = model.backbone.num_aux_tokens
    to_patches = attention[:, :, num_aux:]
    if model.backbone.out_type == 'cls_token':
        seen = to_patches[:, : model.backbone.num_class_tokens]
    else:
        seen = to_patches[:, num_aux:].mean(1, keepdim=True)
    share = (seen @ pasted).squeeze(-1) / seen.sum(-1)
    expected = 1 - ((1 - mixed.lam[:, None]) + share) / 2
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('norm', [False, True])
def test_mixed_precision_keeps_the_weights_to_a_thousandth(dtype, norm):
    arch = dict(ARCH, embed_dims=48, num_layers=12)
    projection = dict(type='LIFEProjection', qkv_norm=True) if norm else {}
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            backbone=dict(
                type='TokenViT', arch=arch, img_size=56, patch_size=4, out_type='avg_featmap',
                **(dict(projection=projection) if norm else {}),
            ),
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=48),
        )
    )  # fmt: skip
    mixed = mix(size=(56, 56), seed=3)

    with torch.no_grad():
        exact = model.align(mixed)[1]
        with torch.autocast('cpu', dtype):
            weights = model.align(mixed)[1]

    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, exact, rtol=0, atol=1e-3)


def attends_to_itself(strength: float):
    """A TransMix classifier whose class token attends mostly to itself in the last layer."""
    torch.manual_seed(0)
    arch = dict(ARCH, embed_dims=48, num_layers=2)
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            target='transmix',
            backbone=dict(type='TokenViT', arch=arch, img_size=56, patch_size=4),
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=48),
        )
    )
    with torch.no_grad():
        # The class token is all in channel 0, which every key is and every query asks for.
        model.backbone.cls_token[..., 0] = 100
        projection = model.backbone.layers[-1].attn.qkv
        projection.weight[:96] = 0
        projection.weight[48:96, 0] = 1
        projection.bias[:48] = strength
    return model


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision_keeps_the_share_of_little_attention(dtype):
    model, mixed = attends_to_itself(0.34), mix(size=(56, 56), seed=3)

    with torch.no_grad():
        start = model.rule.start(mixed, 1)
        reached = 2 * model.backbone(mixed.images, start, -1)[1][:, 0, 1]
        exact = model.align(mixed)[1]
        with torch.autocast('cpu', dtype):
            weights = model.align(mixed)[1]

    assert reached.max() < 0.1
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, exact, rtol=0, atol=1e-3)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_without_attention_to_patches_transmix_is_lambda(dtype):
    model, mixed = attends_to_itself(20.0), mix(size=(56, 56), seed=3)

    with torch.no_grad(), torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        weights = model.align(mixed)[1]

    torch.testing.assert_close(weights, mixed.lam[:, None])


def test_a_share_that_rounds_beyond_one_is_one():
    mixed = Mixed(images(1), torch.zeros(1, 1, 2, dtype=torch.bool), torch.ones(1))
    # Own patches cannot get more attention than all patches, but sums of rounded numbers can.
    trace = torch.tensor([[[0.5000001, 0.5]]])

    weights = TransMixRule().own_weight(mixed, torch.zeros_like(trace), trace, lambda t: t)

    assert weights.tolist() == [[1.0]]


class Scores(torch.nn.Module):
    """A head that is not mmpretrain's, and has no loss."""

    num_classes = 5


BAD = {
    'backbone outside the family': (
        dict(backbone=dict(type='VisionTransformer', arch='deit-t', img_size=32)),
        'VisionTransformer carries no labels',
    ),
    'unknown target': (dict(target='tlalign'), "target 'tlalign' is unknown.*did you mean"),
    'other patches': (dict(mix=dict(type='PatchCutMix', patch_size=8)), 'patch_size 8 of mix'),
    'augment without a mask': (
        dict(mix=dict(type='CutMix', alpha=1.0)),
        "mix of type 'CutMix' does not say whose each patch is",
    ),
    'augments that mix too': (
        dict(
            train_cfg=dict(
                augments=[dict(type='Mixup', alpha=0.8), dict(type='ResizeMix', alpha=1.0)]
            )
        ),
        r'train_cfg.augments has Mixup and ResizeMix beside mix.*train_cfg=dict\(augments=None\)',
    ),
    'patches that are mixed twice': (
        dict(train_cfg=dict(augments=dict(type='PatchCutMix', patch_size=4))),
        'train_cfg.augments has PatchCutMix beside mix',
    ),
    'no head': (dict(head=None), 'head None has no num_classes'),
    'head without classes': (dict(head=dict(type='ClsHead')), 'head ClsHead has no num_classes'),
    'head with a loss of its own': (
        dict(head=dict(type='ArcFaceClsHead', num_classes=5, in_channels=24)),
        'head ArcFaceClsHead has a loss of its own',
    ),
    'head of nothing': (dict(head=dict(type=Scores)), 'head Scores has a loss of its own'),
    'head of several labels': (
        dict(head=dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=24)),
        'head MultiLabelLinearClsHead has',
    ),
    'accuracy of mixed labels': (
        dict(
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=24, cal_acc=True)
        ),
        'cal_acc of the head means nothing',
    ),
    'head of one output': (
        dict(backbone=dict(type='TokenViT', arch=ARCH, img_size=16, num_aux_tokens=2)),
        'head VisionTransformerClsHead does not fit num_aux_tokens 2',
    ),
    'map without a neck': (
        dict(backbone=dict(type='TokenViT', arch=ARCH, img_size=16, out_type='featmap')),
        "out_type 'featmap' of the backbone leaves open",
    ),
    'backbone without attention': (
        dict(
            backbone=dict(
                type='DWNet', arch=dict(embed_dims=12, depths=(1, 1), group_channels=(3, 3))
            )
        ),
        "backbone DWNet mixes tokens without attention.*use target='cutmix'",
    ),
    'last output not last': (
        dict(backbone=dict(type='TokenViT', arch=ARCH, img_size=16, out_indices=(2, 0))),
        r'out_indices \(2, 0\) end with another layer',
    ),
}


@pytest.mark.parametrize(('options', 'named'), BAD.values(), ids=BAD)
def test_a_model_that_cannot_be_aligned_is_named(options, named):
    backbone = dict(type='TokenViT', arch=ARCH, img_size=16, patch_size=4)
    head = dict(type='VisionTransformerClsHead', num_classes=5, in_channels=24)

    with pytest.raises(UserError, match=named):
        MODELS.build({'type': 'TLAlignClassifier', 'backbone': backbone, 'head': head, **options})


def test_without_mix_augments_may_mix():
    augments = [dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]

    model = build(mix=None, train_cfg=dict(augments=augments))

    assert len(model.data_preprocessor.batch_augments.augments) == 2


def test_without_mix_a_head_keeps_its_own_loss():
    head = dict(type='ArcFaceClsHead', num_classes=5, in_channels=24)
    backbone = dict(type='TokenViT', arch=ARCH, img_size=24, patch_size=4)

    torch.manual_seed(0)
    aligned = MODELS.build(
        dict(type='TLAlignClassifier', backbone=backbone, head=head, mix=None)
    ).train()
    torch.manual_seed(0)
    plain = MODELS.build(dict(type='ImageClassifier', backbone=backbone, head=head)).train()

    losses = [m(images(), samples(LABELS), mode='loss')['loss'] for m in (aligned, plain)]
    assert torch.equal(*losses)


@pytest.mark.parametrize(
    'inputs',
    [
        torch.zeros(2, 1, 24, 24),
        torch.zeros(3, 24, 24),
        torch.zeros(2, 3, 24, 24, dtype=torch.uint8),
        torch.zeros(2, 3, 0, 24),
    ],
)
@pytest.mark.parametrize('mode', ['tensor', 'predict', 'loss'])
def test_images_that_the_model_cannot_take_are_named(inputs, mode):
    with pytest.raises(UserError, match=r'images of shape \(.*expected \(B, 3, height, width\)'):
        build()(inputs, samples(LABELS), mode=mode)
