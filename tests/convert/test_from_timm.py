"""Backbones by the names of timm's models compute what these do."""

import re
import sys

import pytest
import timm
import torch
from foreign_models import randomize
from torch import Tensor, nn

from mmtoken.convert.from_timm import backbone_from_timm
from mmtoken.errors import UserError

# One of each kind; the long test takes all names.
NAMES = (
    'vit_tiny_patch16_224',
    'vit_base_patch16_clip_quickgelu_224.openai',
    'vit_small_patch14_reg4_dinov2.lvd142m',
    'vit_base_patch16_siglip_224',
    'vit_so400m_patch14_siglip_384',
    'vit_small_patch16_dinov3',
    'deit_tiny_distilled_patch16_224',
    'deit3_small_patch16_224',
    'eva_large_patch14_196',
    'eva02_tiny_patch14_224',
    'eva02_base_patch14_224',
)
FAMILIES = ('vit_', 'deit', 'eva', 'flexivit', 'beit', 'samvit')
# timm makes them in no other width.
FIXED = {
    'vit_giant_patch14_dinov2',
    'vit_giant_patch14_reg4_dinov2',
    'vit_giant_patch14_reg1_tipsv2',
}


@pytest.fixture
def made(monkeypatch) -> list[nn.Module]:
    """What timm makes from here on: small models, whose weights no one has to download."""
    models = []
    make = timm.create_model

    def create_model(name: str, pretrained: bool, **options) -> nn.Module:
        patch = int(re.search(r'patch(\d+)', name)[1])
        sizes = dict(embed_dim=64, depth=2, num_heads=2, img_size=6 * patch)
        models.append(make(name, **sizes, **options))
        return randomize(models[-1]) if pretrained else models[-1]

    monkeypatch.setattr(timm, 'create_model', create_model)
    return models


@torch.no_grad()
def difference(model: nn.Module, backbone: nn.Module) -> float:
    """The largest one between the tokens of timm's model and ours."""
    sides = [6 * side for side in model.patch_embed.patch_size]
    images = torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(1))
    expected: Tensor = model.fc_norm(model.forward_features(images))
    return (backbone.eval()(images)[0] - expected).abs().max().item()


@pytest.mark.parametrize('name', NAMES)
def test_a_backbone_computes_what_the_model_does(made, name):
    backbone = backbone_from_timm(name, pretrained=True, out_type='raw')
    assert difference(made[0], backbone) < 1e-5


@pytest.mark.long
def test_all_models_of_timm_are_computed_or_refused(made):
    computed = 0
    for name in timm.list_models():
        if not name.startswith(FAMILIES) or 'patch' not in name or name in FIXED:
            continue
        made.clear()
        try:
            backbone = backbone_from_timm(name, pretrained=True, out_type='raw')
        except UserError:
            continue
        assert difference(made[0], backbone) < 1e-5, name
        computed += 1
    assert computed > 150


def test_options_take_the_place_of_those_of_the_model(made):
    backbone = backbone_from_timm('vit_tiny_patch16_224', out_indices=(0, 1), window_size=3)
    maps = backbone(torch.randn(1, 3, 96, 96))
    assert made[0].pos_embed.is_meta
    assert [tuple(m.shape) for m in maps] == [(1, 64)] * 2


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('vit_tiny_patch16_225', "no model of timm .*; did you mean 'vit_tiny_patch16_224'"),
        ('?', r'no model of timm .*; choose one of timm.list_models\(\)'),
        ('swin_tiny_patch4_window7_224', 'is a SwinTransformer, which a TokenViT cannot be'),
        ('vit_base_patch16_rpn_224', 'is made of ResPostBlock, which no option'),
        ('vit_small_r26_s32_224', "'patch_embed.backbone.stem.conv.weight' has no counterpart"),
    ],
)
def test_what_a_token_vit_cannot_be_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        backbone_from_timm(name)


def test_an_activation_that_is_unknown_is_named(made, monkeypatch):
    block = timm.models.vision_transformer.Block
    plain = block.__init__
    monkeypatch.setattr(
        block,
        '__init__',
        lambda self, *args, **options: plain(self, *args, **options | dict(act_layer=nn.ReLU)),
    )
    with pytest.raises(UserError, match='has ReLU in its MLPs'):
        backbone_from_timm('vit_tiny_patch16_224')


def test_weights_that_cannot_be_downloaded_are_asked_for(monkeypatch):
    def create_model(*args, **options):
        raise OSError('no route to host')

    monkeypatch.setattr(timm, 'create_model', create_model)
    with pytest.raises(UserError, match='no route to host; where it cannot download, fetch'):
        backbone_from_timm('vit_tiny_patch16_224.augreg_in21k', pretrained=True)


def test_a_machine_without_timm_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(UserError, match='is not installed; pip install timm'):
        backbone_from_timm('vit_tiny_patch16_224')
