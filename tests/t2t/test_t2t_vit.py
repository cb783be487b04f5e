"""T2T-ViT's sizes, presets, weights and options."""

import pytest
import torch
from small_t2t import KINDS, LIFE, SMALL, build, disturb, images
from torch import nn

from mmtoken.errors import UserError
from mmtoken.life import LIFEProjection
from mmtoken.t2t import T2TStem, T2TViT
from mmtoken.vit import LinearProjection


# The released T2T-ViT-12, and two T2T-LIFE of our design, as counted for the LIFE study.
@pytest.mark.parametrize(
    ('options', 'trainable'),
    [
        (dict(arch='t2t-12'), 6_656_074),
        (dict(arch='t2t-12-life'), 6_563_738),
        (
            dict(
                arch=dict(embed_dims=255, num_layers=12, num_heads=5, feedforward_channels=510),
                **LIFE,
            ),
            6_713_342,
        ),
    ],
    ids=['T2T-ViT-12', '252 channels with LIFE', '255 channels with LIFE'],
)
def test_parameters_with_a_hundred_classes(options, trainable):
    with torch.device('meta'):
        backbone = T2TViT(**options)

    head = 100 * (backbone.embed_dims + 1)
    assert sum(p.numel() for p in backbone.parameters() if p.requires_grad) + head == trainable


# Million numbers of the released code's README and paper, of 1000 classes, fixed ones included.
@pytest.mark.parametrize(
    ('arch', 'kind', 'millions'),
    [
        ('t2t-7', 'performer', 4.3),
        ('t2t-10', 'performer', 5.9),
        ('t2t-12', 'performer', 6.9),
        ('t2t-14', 'transformer', 21.5),
        ('t2t-14', 'performer', 21.5),
        ('t2t-19', 'performer', 39.2),
        ('t2t-24', 'transformer', 64.1),
        ('t2t-24', 'performer', 64.1),
    ],
)
def test_sizes_are_those_of_the_released_code(arch, kind, millions):
    with torch.device('meta'):
        backbone = T2TViT(arch, stem=dict(token_layer=kind))

    head = 1000 * (backbone.embed_dims + 1)
    count = sum(t.numel() for t in backbone.state_dict().values()) + head
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    ('arch', 'channels', 'layers', 'heads', 'hidden'),
    [('t2t-12', 256, 12, 4, 512), ('t2t-14', 384, 14, 6, 1152)],
)
def test_presets_are_those_of_the_paper(arch, channels, layers, heads, hidden):
    with torch.device('meta'):
        backbone = T2TViT(arch)

    layer = backbone.layers[0]
    assert (backbone.embed_dims, backbone.num_layers) == (channels, layers)
    assert (layer.attn.num_heads, layer.ffn.layers[0][0].out_features) == (heads, hidden)
    assert layer.attn.qkv.bias is None
    assert {m.eps for m in backbone.modules() if isinstance(m, nn.LayerNorm)} == {1e-5}
    assert isinstance(backbone.patch_embed, T2TStem)


def test_the_preset_of_life_has_life_and_its_bias_in_every_layer():
    with torch.device('meta'):
        backbone = T2TViT('t2t-12-life')

    made = [layer.attn.qkv for layer in backbone.layers]
    assert all(isinstance(m, LIFEProjection) and m.linear.bias is not None for m in made)


def test_options_replace_what_the_preset_of_life_brings():
    with torch.device('meta'):
        other = T2TViT('t2t-12-life', projection=dict(kernel_sizes=(3,)), qkv_bias=False)
        plain = T2TViT('t2t-12-life', projection=dict(type='LinearProjection'), qkv_bias=False)

    assert len(other.layers[0].attn.qkv.depthwise) == 1
    assert other.layers[0].attn.qkv.linear.bias is None
    assert isinstance(plain.layers[0].attn.qkv, LinearProjection)


@pytest.mark.parametrize('kind', KINDS)
def test_state_dict_round_trip_computes_the_same(kind):
    source = disturb(build(kind))
    torch.manual_seed(7)
    target = T2TViT(SMALL, 64, stem=dict(token_layer=kind, token_dims=8)).eval()
    before = target(images())[0]

    target.load_state_dict(source.state_dict(), strict=True)

    torch.testing.assert_close(target(images()), source(images()), rtol=0, atol=0)
    assert not torch.allclose(before, source(images())[0])


def test_random_features_come_with_the_weights():
    source, target = build(), build()
    target.patch_embed.attention1.attn.w.mul_(2)

    target.load_state_dict(source.state_dict(), strict=True)

    torch.testing.assert_close(target(images()), source(images()), rtol=0, atol=0)


def test_pretrained_weights_load_strictly_from_a_file(tmp_path):
    source, path = disturb(build()), tmp_path / 't2t.pth'
    torch.save({'state_dict': source.state_dict()}, path)
    target = build(init_cfg=dict(type='Pretrained', checkpoint=str(path)))

    target.init_weights()

    torch.testing.assert_close(target(images()), source(images()), rtol=0, atol=0)


def test_weights_of_the_other_token_layer_are_refused(tmp_path):
    path = tmp_path / 't2t.pth'
    torch.save({'state_dict': build('transformer').state_dict()}, path)
    target = build('performer', init_cfg=dict(type='Pretrained', checkpoint=str(path)))

    with pytest.raises(UserError, match='6 missing .*2 unexpected'):
        target.init_weights()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('projection', [{}, LIFE], ids=['linear', 'LIFE'])
def test_gradients_reach_every_parameter_that_learns(kind, projection):
    backbone = disturb(build(kind, out_type='raw', **projection)).train()

    (backbone(images())[0] * torch.randn(2, 17, 24)).sum().backward()

    without = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == ['pos_embed']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    ('size', 'grid'), [((64, 64), (4, 4)), ((33, 90), (3, 6)), ((200, 16), (13, 1))]
)
def test_feature_maps_have_the_grid_of_the_image(kind, size, grid):
    (out,) = build(kind, out_type='featmap')(images(*size))

    assert out.shape == (2, 24, *grid)


def test_frozen_stages_freeze_the_stem():
    backbone = build(frozen_stages=0).train()

    assert not any(p.requires_grad for p in backbone.patch_embed.parameters())
    assert not any(m.training for m in backbone.patch_embed.modules())
    assert not backbone.cls_token.requires_grad and backbone.layers[0].training


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(patch_size=8), 'patch_size 8 is not 16, .* use 16, or the stem PatchStem'),
        (dict(position='rotary'), r"position 'rotary' is unknown; use one of \('learned', "),
        (dict(arch='t2t-13'), "arch 't2t-13' is unknown"),
        (dict(stem=dict(token_layer='linear')), "token_layer 'linear' is unknown"),
        (dict(stem=dict(token_dim=32)), "stem of type T2TStem does not take 'token_dim'"),
        (dict(stem=dict(embed_dims=32)), 'stem has embed_dims, which the backbone sets itself'),
        (dict(arch='t2t-12', projection=dict(type='LIFEProjection')),
         'embed_dims 256 is not a multiple of the 3 scales'),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)
