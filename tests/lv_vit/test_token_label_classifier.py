"""Every patch is trained on its own label: mixed, pooled and aligned as its token is."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmtoken.errors import UserError
from mmtoken.lv_vit import MixToken
from mmtoken.mixing import PatchCutMix

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
CLASSES, CELLS = 5, (6, 6)
BACKBONES = ['TokenViT', 'LIFEViT', 'LVViT']
VARIANTS = {
    'plain': {},
    'no-aux': dict(num_aux_tokens=0),
    'registers': dict(num_aux_tokens=5, num_registers=4),
    'windowed': dict(window_size=3),
    'pooled': dict(pool_before=(1,)),
    'pooled-twice': dict(pool_before=(1, -1), num_aux_tokens=0),
}


def build(backbone='TokenViT', head=None, model=None, **options):
    torch.manual_seed(0)
    options = dict(arch=ARCH, img_size=24, patch_size=4, out_type='raw', **options)
    num_aux = options.get('num_aux_tokens', 1)
    built = MODELS.build(
        dict(
            type='TokenLabelClassifier',
            backbone=dict(type=backbone, **options),
            head=dict(
                type='TokenLabelHead', num_classes=CLASSES, in_channels=24, num_aux_tokens=num_aux,
                **(head or {}),
            ),
            **(model or {}),
        )
    )  # fmt: skip
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built.train()


def images(batch=4):
    return torch.randn(batch, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def samples(labels=(3, 0, 4, 1), classes=CLASSES, kind='logit', top_k=3):
    """Labels, and random maps of the patches' own grid."""
    rng, made = np.random.RandomState(2), []
    for label in labels:
        sample = DataSample().set_gt_label(label)
        ids = np.stack([rng.permutation(classes)[:top_k] for _ in range(36)], -1)
        values = rng.rand(top_k, *CELLS) * (3 if kind == 'logit' else 1 / top_k)
        sample.set_field(torch.from_numpy(values).half(), 'token_label')
        sample.set_field(torch.from_numpy(ids.reshape(top_k, *CELLS)).short(), 'token_label_ids')
        sample.set_field(torch.eye(2, 3), 'token_label_source')
        sample.set_field(kind, 'token_label_kind', field_type='metainfo')
        made.append(sample)
    return made


def dense(sample, classes=CLASSES):
    """The logits of a sample's own cells, (H·W, K), one cell at a time."""
    rows = []
    for cell in range(36):
        logits = torch.zeros(classes)
        for k in range(len(sample.token_label)):
            logits[sample.token_label_ids[k].flatten()[cell]] = (
                sample.token_label[k].flatten()[cell].float()
            )
        rows.append(logits)
    return torch.stack(rows)


def cross_entropy(scores, target):
    return -(target * scores.log_softmax(-1)).sum(-1).mean()


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('variant', VARIANTS)
def test_every_parameter_is_trained(backbone, variant):
    model = build(backbone, **VARIANTS[variant])

    losses = model.loss(images(), samples())

    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without == []


def test_without_mixing_each_patch_is_compared_with_its_own_cell():
    model = build(model=dict(mix=None), head=dict(dense_weight=0.5)).eval()
    given = samples()

    losses = model.loss(images(), given)

    x = model.backbone(images())[-1]
    cls, aux = model.head.layers['head'](x[:, 0]), model.head.layers['aux_head'](x[:, 1:])
    logits = torch.stack([dense(sample) for sample in given])
    torch.testing.assert_close(losses['loss_token'], 0.5 * cross_entropy(aux, logits.softmax(-1)))
    whole = logits.mean(dim=1).softmax(-1)
    torch.testing.assert_close(losses['loss_cls'], cross_entropy(cls, whole))


@pytest.mark.parametrize('mix', ['MixToken', 'PatchCutMix'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_mixed_patches_are_compared_with_labels_of_where_they_come_from(mix, variant):
    model = build(**VARIANTS[variant], model=dict(mix=dict(type=mix, per_image=True)))
    kind = MixToken if mix == 'MixToken' else PatchCutMix
    np.random.seed(0)
    mixed = kind(4, per_image=True).mix(images())
    scores, patches = model.targets(samples(), CELLS)

    losses = model.mixed_loss(mixed, scores, patches)

    feats, _ = model.align(mixed)
    cls, aux = model.head.classify(feats)
    expected = []
    for i in range(4):
        own, other, mask = patches[i], patches[3 - i], mixed.mask[i].flatten()
        expected.append(torch.stack([other[n] if mask[n] else own[n] for n in range(36)]))
    grid = torch.stack(expected).unflatten(1, CELLS).permute(0, 3, 1, 2)
    for _ in model.backbone.pools:
        # TokenPool reads 3x3 patches.
        grid = torch.nn.functional.avg_pool2d(grid, 3, 2, padding=1, count_include_pad=False)
    torch.testing.assert_close(
        losses['loss_token'], cross_entropy(aux, grid.flatten(2).transpose(1, 2))
    )
    lam = mixed.lam[:, None]
    by_area = lam * scores + (1 - lam) * scores.flip(0)
    torch.testing.assert_close(losses['loss_cls'], cross_entropy(cls, by_area))


def test_exchanged_tokens_are_those_of_the_stem_before_their_position():
    model = build('LVViT').eval()
    np.random.seed(1)
    mixed = MixToken(4).mix(images())
    assert mixed.pasted and torch.equal(mixed.images, images())

    tokens = model.backbone.embed(mixed.images, mixed.swap)

    own, _ = model.backbone.patch_embed(images())
    mask = mixed.mask.flatten(1)[:, :, None]
    expected = torch.where(mask, own.flip(0), own) + model.backbone.pos_embed[:, 1:]
    torch.testing.assert_close(tokens.patches, expected)


def test_aligned_class_target_goes_with_labels_of_patches():
    options = dict(mix=dict(type='MixToken', per_image=True), target='tl_align')
    model = build(model=options)
    np.random.seed(0)
    mixed = MixToken(4, per_image=True).mix(images())
    scores, patches = model.targets(samples(), CELLS)

    losses = model.mixed_loss(mixed, scores, patches)

    feats, weights = model.align(mixed)
    assert not torch.allclose(weights, mixed.lam[:, None], atol=1e-3)
    cls, _ = model.head.classify(feats)
    target = weights * scores + (1 - weights) * scores.flip(0)
    torch.testing.assert_close(losses['loss_cls'], cross_entropy(cls, target))
    assert 'loss_token' in losses


def test_the_label_of_the_image_can_stand_on_every_patch():
    model = build(model=dict(token_labels='image', mix=None))
    given = [DataSample().set_gt_label(label) for label in (3, 0, 4, 1)]

    losses = model.loss(images(), given)

    _, aux = model.head.classify(model.backbone(images()))
    one_hot = torch.nn.functional.one_hot(torch.tensor([3, 0, 4, 1]), CLASSES).float()
    torch.testing.assert_close(
        losses['loss_token'], cross_entropy(aux, one_hot[:, None].expand(-1, 36, -1))
    )


def test_without_labels_of_patches_it_is_an_ordinary_classifier():
    model = build(head=dict(dense_weight=0.0), model=dict(token_labels='image', mix=None))
    given = [DataSample().set_gt_label(label) for label in (3, 0, 4, 1)]

    losses = model.loss(images(), given)

    assert list(losses) == ['loss_cls']
    assert 'aux_head' not in model.head.layers
    scores = model.head.layers['head'](model.backbone(images())[-1][:, 0])
    torch.testing.assert_close(model(images()), scores)


@pytest.mark.parametrize(
    ('class_target', 'weight'), [('label', 0.0), ('maps', 1.0), ('blend', None)]
)
def test_class_target_is_of_labels_maps_or_both(class_target, weight):
    model = build(model=dict(class_target=class_target))
    given = samples()

    scores, patches = model.targets(given, CELLS)

    whole, _ = build(model=dict(class_target='maps')).targets(given, CELLS)
    labels = torch.nn.functional.one_hot(torch.tensor([3, 0, 4, 1]), CLASSES).float()
    agree = (whole.argmax(1) == labels.argmax(1)).float()[:, None]
    share = 0.9 - 0.4 * agree if weight is None else weight
    torch.testing.assert_close(scores, share * whole + (1 - share) * labels)


def test_patches_may_have_a_background_that_images_have_not():
    model = build(head=dict(num_token_classes=CLASSES + 1), model=dict(mix=None))
    given = samples(classes=CLASSES + 1, kind='share')

    scores, patches = model.targets(given, CELLS)

    assert scores.shape == (4, CLASSES) and patches.shape == (4, 36, CLASSES + 1)
    assert scores.argmax(1).tolist() == [3, 0, 4, 1]
    cls, aux = model.head.classify(model.backbone(images()))
    torch.testing.assert_close(model(images()), cls + 0.5 * aux[..., :CLASSES].amax(1))


def test_evaluation_mode_mixes_nothing():
    model = build().eval()

    first, second = model.loss(images(), samples()), model.loss(images(), samples())

    assert first == second


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(model=dict(token_labels='map')),
            "token_labels 'map' is unknown.*did you mean 'maps'",
        ),
        (dict(model=dict(class_target='gt')), "class_target 'gt' is unknown"),
        (
            dict(model=dict(token_labels='image', class_target='blend')),
            "class_target 'blend' means nothing where there are no maps; use 'label'",
        ),
        (
            dict(head=dict(num_token_classes=CLASSES + 1), model=dict(class_target='maps')),
            "class_target 'maps' means nothing where maps have a background class",
        ),
        (
            dict(head=dict(num_token_classes=CLASSES + 1), model=dict(token_labels='image')),
            'num_token_classes 6 of the head has a background, which labels of images have not',
        ),
        (dict(head=dict(num_token_classes=0)), 'num_token_classes 0 is neither num_classes 5 nor'),
        (dict(head=dict(num_token_classes=9)), 'num_token_classes 9 is neither num_classes 5 nor'),
        (dict(head=dict(num_aux_tokens=2)), 'num_aux_tokens 2 of the head is not the 1'),
        (
            dict(out_type='cls_token'),
            "out_type 'cls_token' of the backbone gives .* out_type='raw'",
        ),
        (dict(model=dict(target='tlalign')), "target 'tlalign' is unknown"),
    ],
)
def test_what_does_not_fit_together_is_refused(options, message):
    head = {'num_aux_tokens': 1, **options.pop('head', {})}
    out_type = options.pop('out_type', 'raw')
    with pytest.raises(UserError, match=message):
        MODELS.build(
            dict(
                type='TokenLabelClassifier',
                backbone=dict(
                    type='TokenViT', arch=ARCH, img_size=24, patch_size=4, out_type=out_type
                ),
                head=dict(type='TokenLabelHead', num_classes=CLASSES, in_channels=24, **head),
                **options.get('model', {}),
            )
        )


def test_another_head_is_refused():
    with pytest.raises(UserError, match='LinearClsHead scores no patches'):
        MODELS.build(
            dict(
                type='TokenLabelClassifier',
                backbone=dict(type='TokenViT', arch=ARCH, img_size=24, patch_size=4),
                head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=24),
            )
        )


@pytest.mark.parametrize('size', [(24, 24), (21, 18)])
def test_what_pads_an_image_has_no_class(size):
    model, given = build(model=dict(class_target='maps')), samples()
    for sample in given:
        # One class everywhere, as sure as can be.
        sample.token_label = torch.full((1, *CELLS), 9.0)
        sample.token_label_ids = sample.gt_label.view(1, 1, 1).expand(1, *CELLS)
        sample.set_field(size, 'token_label_shape', field_type='metainfo')

    scores, patches = model.targets(given, (6, 6))

    sure = torch.softmax(torch.tensor([9.0, 0, 0, 0, 0]), 0)[0]
    of_own = patches[torch.arange(4), :, [3, 0, 4, 1]].view(4, 6, 6)
    rows, columns = size[0] // 4, size[1] // 4
    torch.testing.assert_close(of_own[:, :rows, :columns], sure.expand(4, rows, columns))
    torch.testing.assert_close(scores[torch.arange(4), [3, 0, 4, 1]], sure.expand(4))
    # Nothing is there to be told apart.
    past = of_own[:, -(-size[0] // 4) :, :]
    torch.testing.assert_close(past, torch.full_like(past, 1 / CLASSES))


def test_an_image_without_a_map_is_named():
    given = samples()
    given[2] = DataSample(metainfo=dict(img_path='a/b.png')).set_gt_label(1)

    with pytest.raises(UserError, match='a/b.png comes without a label map; have LoadTokenLabels'):
        build().loss(images(), given)
