"""Positions are scored as the head scores a whole image."""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.datasets.annotator import position_scores
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


def test_the_mean_of_mmpretrains_vit_has_its_own_norm():
    backbone = dict(
        type='VisionTransformer', arch={**ARCH}, img_size=24, patch_size=8, out_type='avg_featmap'
    )
    model, images = classifier(backbone, VIT_HEAD), torch.randn(1, 3, 8, 8)

    # One patch, which is its own mean.
    scores = position_scores(model, images)

    torch.testing.assert_close(scores.flatten(1), model(images))


def test_what_stands_between_map_and_head_is_refused():
    neck = dict(type='GeneralizedMeanPooling')
    head = dict(type='LinearClsHead', num_classes=5, in_channels=512)
    model = classifier(dict(type='ResNet', depth=18), head, neck=neck)

    with pytest.raises(UserError, match='neck GeneralizedMeanPooling stands between'):
        position_scores(model, torch.randn(1, 3, 32, 32))
