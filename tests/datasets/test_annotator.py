"""Positions are scored as the head scores a whole image."""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.datasets.annotator import position_scores, top_scores
from mmtoken.errors import UserError

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


def classifier(backbone, head, **options):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type=options.pop('type', 'ImageClassifier'), backbone=backbone, head=head, **options)
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def vit(kind='TokenViT', **options):
    return dict(type=kind, arch=ARCH, img_size=24, patch_size=8, **options)


LINEAR = dict(type='LinearClsHead', num_classes=5, in_channels=24)
VIT_HEAD = dict(type='VisionTransformerClsHead', num_classes=5, in_channels=24)
MEANS = {
    'ours': lambda: classifier(vit(out_type='avg_featmap'), VIT_HEAD),
    'ours with a neck': lambda: classifier(
        vit('LIFEViT', out_type='featmap'), LINEAR, neck=dict(type='GlobalAveragePooling')
    ),
    'a network of convolutions': lambda: classifier(
        dict(type='ResNet', depth=18),
        dict(type='LinearClsHead', num_classes=5, in_channels=512),
        neck=dict(type='GlobalAveragePooling'),
    ),
}


@pytest.mark.parametrize('name', MEANS)
def test_scores_of_an_image_are_the_mean_of_those_of_its_positions(name):
    model, images = MEANS[name](), torch.randn(2, 3, 40, 24)

    scores = position_scores(model, images)

    torch.testing.assert_close(scores.mean(dim=(2, 3)), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'backbone',
    [vit(), dict(type='VisionTransformer', arch={**ARCH}, img_size=24, patch_size=8)],
    ids=['ours', "mmpretrain's"],
)
def test_a_class_token_head_is_applied_to_every_patch(backbone):
    model, images = classifier(backbone, VIT_HEAD), torch.randn(2, 3, 24, 24)

    scores = position_scores(model, images)

    assert scores.shape == (2, 5, 3, 3)
    model.backbone.out_type = 'featmap'
    (maps,) = model.backbone(images)
    expected = model.head.layers.head(maps[1, :, 2, 0])
    torch.testing.assert_close(scores[1, :, 2, 0], expected)


def test_a_token_label_head_has_scores_for_patches():
    head = dict(type='TokenLabelHead', num_classes=5, num_token_classes=6, in_channels=24)
    backbone = vit('LVViT', out_type='raw')
    model = classifier(backbone, head, type='TokenLabelClassifier')
    images = torch.randn(2, 3, 24, 24)

    scores = position_scores(model, images)

    _, patches = model.head.classify(model.backbone(images))
    torch.testing.assert_close(scores.flatten(2).transpose(1, 2), patches[..., :5])
    assert model.backbone.out_type == 'raw'


def test_class_and_distillation_token_are_both_asked():
    head = dict(type='DeiTClsHead', num_classes=5, in_channels=24)
    model, images = classifier(vit(num_aux_tokens=2), head), torch.randn(1, 3, 24, 24)

    scores = position_scores(model, images)

    model.backbone.out_type = 'featmap'
    (maps,) = model.backbone(images)
    layers, x = model.head.layers, maps[0, :, 1, 2]
    both = layers.head(x), layers.head_dist(x)
    torch.testing.assert_close(scores[0, :, 1, 2], sum(both) / 2)


@pytest.mark.parametrize('size', [8, 24])
def test_the_mean_of_mmpretrains_vit_has_its_own_norm(size):
    backbone = dict(
        type='VisionTransformer', arch={**ARCH}, img_size=24, patch_size=8, out_type='avg_featmap'
    )
    model, images = classifier(backbone, VIT_HEAD), torch.randn(2, 3, size, size)

    scores = position_scores(model, images)

    model.backbone.out_type = 'featmap'
    (maps,) = model.backbone(images)
    # (B, C, H, W) → (B, H, W, C)
    positions = model.backbone.ln2(maps.permute(0, 2, 3, 1))
    torch.testing.assert_close(scores.permute(0, 2, 3, 1), model.head.layers.head(positions))
    if size == 8:
        # One patch, which is its own mean.
        model.backbone.out_type = 'avg_featmap'
        torch.testing.assert_close(scores.flatten(1), model(images))


NORMED_MEANS = {
    'ConvNeXt': dict(type='ConvNeXt', arch='atto'),
    'TinyViT': dict(type='TinyViT', arch='5m', img_size=(64, 64)),
}


@pytest.mark.parametrize('name', NORMED_MEANS)
def test_a_norm_of_the_mean_is_applied_to_each_position(name):
    backbone = MODELS.build(NORMED_MEANS[name])
    width = backbone.norm3.weight.numel()
    model = classifier(
        NORMED_MEANS[name], dict(type='LinearClsHead', num_classes=5, in_channels=width)
    )
    images = torch.randn(1, 3, 64, 64)

    scores = position_scores(model, images)

    assert scores.shape == (1, 5, 2, 2)
    assert model.backbone.gap_before_final_norm
    # What enters the norm where it is the mean's: C numbers, the mean of the positions.
    seen = []
    model.backbone.gap_before_final_norm = False
    model.backbone.norm3.register_forward_hook(lambda _, i, out: seen.append(out))
    model.backbone(images)
    out = seen[0].reshape(1, 4, width) if name == 'TinyViT' else seen[0].flatten(2).mT
    expected = model.head.fc(out)
    torch.testing.assert_close(scores.flatten(2).mT, expected)


@pytest.mark.parametrize('top_k', [1, 3, 5])
@pytest.mark.parametrize('by_sigmoid', [False, True])
def test_what_is_left_out_counts_as_the_head_was_trained(by_sigmoid, top_k):
    loss = dict(type='CrossEntropyLoss', use_sigmoid=by_sigmoid, use_soft=not by_sigmoid)
    model = classifier(vit(), dict(VIT_HEAD, loss=loss))
    # Far from 0, as sigmoid leaves classes that are not there.
    torch.nn.init.constant_(model.head.layers.head.bias, -7.0)
    images = torch.randn(2, 3, 24, 24)

    values, ids = top_scores(model, images, top_k)

    scores = position_scores(model, images)
    kept = torch.zeros_like(scores).scatter(1, ids, values).softmax(1).gather(1, ids)
    if by_sigmoid:
        # As if none were left out.
        torch.testing.assert_close(kept, scores.softmax(1).gather(1, ids))
    else:
        assert torch.equal(values, scores.gather(1, ids))


def test_a_norm_that_takes_means_alone_is_refused():
    head = dict(type='LinearClsHead', num_classes=5, in_channels=168)
    model = classifier(dict(type='EdgeNeXt', arch='xxsmall'), head)

    with pytest.raises(UserError, match='backbone EdgeNeXt gives no feature map'):
        position_scores(model, torch.randn(1, 3, 64, 64))


def test_what_stands_between_map_and_head_is_refused():
    neck = dict(type='GeneralizedMeanPooling')
    head = dict(type='LinearClsHead', num_classes=5, in_channels=512)
    model = classifier(dict(type='ResNet', depth=18), head, neck=neck)

    with pytest.raises(UserError, match='neck GeneralizedMeanPooling stands between'):
        position_scores(model, torch.randn(1, 3, 32, 32))
