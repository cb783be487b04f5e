"""Frozen backbones: their weights, and the feature maps that are read."""

import pytest
import torch
from mmengine.config import Config
from probe_scenes import RESNET, TOKEN_VIT, write_classifier

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import build_frozen_backbone, cell_size, feature_map

IMAGES = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def config_of(tmp_path):
    """A function that makes the config of a classifier with a backbone."""
    return lambda backbone: Config.fromfile(write_classifier(tmp_path / 'model.py', backbone))


@pytest.fixture
def classifier(config_of):
    return config_of(TOKEN_VIT)


def saved(backbone, path, prefix='backbone.'):
    state = {f'{prefix}{name}': value for name, value in backbone.state_dict().items()}
    torch.save(
        dict(state_dict=state | {'head.fc.weight': torch.zeros(2)} if prefix else state), path
    )
    return str(path)


def test_a_classifier_gives_its_patches_as_a_map_of_any_size(classifier):
    backbone = build_frozen_backbone(classifier, None)

    assert feature_map(backbone, IMAGES).shape == (1, 24, 4, 4)


def test_maps_of_other_backbones_are_chosen_by_level(config_of):
    backbone = build_frozen_backbone(config_of(RESNET), None)

    assert feature_map(backbone, IMAGES).shape == (1, 128, 4, 4)
    assert feature_map(backbone, IMAGES, level=0).shape == (1, 64, 8, 8)


def test_a_level_that_is_not_there_is_refused(config_of):
    backbone = build_frozen_backbone(config_of(RESNET), None)

    with pytest.raises(UserError, match='level 2 is none of the 2 outputs of ResNet; use -2..1'):
        feature_map(backbone, IMAGES, level=2)


def test_a_backbone_without_maps_is_refused():
    with pytest.raises(UserError, match=r'Identity returns \(1, 24\) and no feature map'):
        feature_map(torch.nn.Identity(), torch.zeros(1, 24))


def test_a_size_that_the_backbone_refuses_is_told(config_of):
    mixer = "type='MlpMixer', arch='s', img_size=16, patch_size=16"
    backbone = build_frozen_backbone(config_of(mixer), None)

    with pytest.raises(UserError, match='MlpMixer refuses images of 32x32 pixels: The MLP-Mixer'):
        feature_map(backbone, IMAGES)


def test_a_config_without_a_backbone_is_refused():
    with pytest.raises(UserError, match='has no model.backbone'):
        build_frozen_backbone(Config(dict(model=dict(type='X'))), None)


def test_nothing_of_it_learns_or_drops(classifier):
    classifier.model.backbone.drop_rate = 0.5

    backbone = build_frozen_backbone(classifier, None)

    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert torch.equal(feature_map(backbone, IMAGES), feature_map(backbone, IMAGES))


def test_random_weights_are_those_of_the_seed_and_leave_the_callers_numbers_alone(classifier):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)

    first, same, other = (build_frozen_backbone(classifier, None, seed) for seed in (1, 1, 2))

    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.pos_embed, same.pos_embed)
    assert not torch.equal(first.pos_embed, other.pos_embed)


def test_random_weights_are_initialized_as_the_config_asks(classifier):
    zeros = dict(type='Constant', layer='Linear', val=0.0)
    pretrained = dict(type='Pretrained', checkpoint='not_there.pth')
    classifier.model.backbone.init_cfg = [zeros, pretrained]

    backbone = build_frozen_backbone(classifier, None)

    assert not backbone.layers[0].attn.proj.weight.any()
    assert classifier.model.backbone.init_cfg == [zeros, pretrained]


@pytest.mark.parametrize('prefix', ['backbone.', ''])
def test_weights_come_from_the_file(classifier, tmp_path, prefix):
    backbone = build_frozen_backbone(classifier, None, seed=1)

    loaded = build_frozen_backbone(classifier, saved(backbone, tmp_path / 'x.pth', prefix))

    assert torch.equal(feature_map(loaded, IMAGES), feature_map(backbone, IMAGES))


def test_weights_can_be_given_as_they_are(classifier):
    backbone = build_frozen_backbone(classifier, None, seed=1)

    loaded = build_frozen_backbone(classifier, backbone.state_dict())

    assert torch.equal(loaded.ln1.weight, backbone.ln1.weight)
    assert torch.equal(loaded.pos_embed, backbone.pos_embed)


def test_weights_of_a_pyramids_classifier_are_those_of_one_with_all_maps(config_of):
    swin = (
        "type='Swin', arch=dict(embed_dims=12, depths=(1, 1), num_heads=(1, 2)), img_size=32, "
        'window_size=4'
    )
    weights = build_frozen_backbone(config_of(swin), None).state_dict()
    weights['norm1.weight'].fill_(2.0)
    backbone = build_frozen_backbone(config_of(f'{swin}, out_indices=(0, 1)'), weights)

    assert backbone.norm1.weight.eq(2).all() and backbone.norm0.weight.eq(1).all()
    assert feature_map(backbone, IMAGES, level=0).shape == (1, 12, 8, 8)


def test_weights_that_do_not_cover_the_backbone_are_refused(classifier, tmp_path):
    backbone = build_frozen_backbone(classifier, None)
    del backbone.ln1
    file = saved(backbone, tmp_path / 'x.pth')

    with pytest.raises(UserError, match='do not cover the model: .* 2 missing .ln1.weight'):
        build_frozen_backbone(classifier, file)


def test_cells_of_the_family_are_its_strides_and_those_of_others_an_even_division(
    classifier, config_of
):
    family, other = build_frozen_backbone(classifier, None), object()

    assert cell_size(family, (36, 36), (5, 5)) == (8, 8)
    assert cell_size(other, (36, 20), (6, 5)) == (6, 4)
