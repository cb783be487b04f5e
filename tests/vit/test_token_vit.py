"""TokenViT beside mmpretrain's VisionTransformer, its checks, and its position embedding."""

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch import nn

from mmtoken.vit import TokenViT
from mmtoken.vit.arguments import ARCHS
from mmtoken.vit.position import adapt_position

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


def small(**options):
    return TokenViT(**{'arch': ARCH, 'img_size': 32, 'patch_size': 8, **options}).eval()


@pytest.mark.parametrize('arch', ARCHS)
def test_presets_are_those_of_mmpretrain(arch):
    with torch.device('meta'):
        theirs, ours = VisionTransformer(arch), TokenViT(arch)

    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }
    assert ours.layers[0].attn.num_heads == theirs.layers[0].attn.num_heads


def test_names_of_deit_and_vit_are_known():
    assert {'deit-t', 'deit-s', 'deit-b', 'b', 'base', 'l', 'large', 'h', 'huge'} <= set(ARCHS)


@pytest.mark.parametrize(
    ('counts', 'layout'),
    [
        ((0, None), {}),
        ((1, None), dict(cls_token=1)),
        ((2, None), dict(cls_token=1, dist_token=1)),
        ((5, None), dict(cls_token=1, dist_token=1, reg_tokens=3)),
        ((5, 4), dict(cls_token=1, reg_tokens=4)),
        ((2, 1), dict(cls_token=1, reg_tokens=1)),
        ((4, 4), dict(reg_tokens=4)),
    ],
)
def test_auxiliary_tokens_are_class_distillation_and_registers(counts, layout):
    num_aux_tokens, num_registers = counts

    backbone = small(
        num_aux_tokens=num_aux_tokens, num_registers=num_registers, out_type='avg_featmap'
    )

    tokens = [(n, p.shape[1]) for n, p in backbone.named_parameters() if 'token' in n]
    assert tokens == list(layout.items())
    assert backbone.embed(torch.randn(1, 3, 32, 32)).num_aux == num_aux_tokens


def test_a_class_token_with_registers_is_classified_alone():
    backbone = small(num_aux_tokens=5, num_registers=4)

    (found,) = backbone(torch.randn(2, 3, 32, 32))

    assert found.shape == (2, 24)


@pytest.mark.parametrize('arch', ['deit-tiny', 'deit-small'])
def test_weights_of_mmpretrains_vit_load_and_compute_the_same(arch):
    theirs, ours = VisionTransformer(arch, img_size=64), TokenViT(arch, img_size=64)
    theirs.eval()
    ours.eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.05)

    ours.load_state_dict(theirs.state_dict(), strict=True)

    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(image)[0], theirs(image)[0], rtol=0, atol=1e-5)


def test_base_preset_has_deits_parameter_count():
    with torch.device('meta'):
        backbone = TokenViT('deit-base')

    assert sum(p.numel() for p in backbone.parameters()) == 85_798_656


def test_the_default_is_deit_tiny_on_its_images():
    with torch.device('meta'):
        backbone = TokenViT()

        (out,) = backbone(torch.empty(2, 3, 224, 224))

    assert out.shape == (2, 192)
    assert backbone.img_size == (224, 224)  # as of mmpretrain's VisionTransformer
    assert backbone.pos_embed.shape == (1, 1 + 14 * 14, 192)
    assert len(backbone.layers) == 12


def test_initialization_is_deits():
    backbone = TokenViT('deit-tiny')

    for weight in (
        backbone.pos_embed,
        backbone.layers[3].attn.qkv.weight,
        backbone.layers[3].ffn.layers[1].weight,
    ):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not backbone.layers[3].attn.qkv.bias.any()


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(arch='small'), "arch 'small'"),
        (dict(arch=dict(embed_dims=24)), 'arch has keys'),
        (dict(arch=dict(ARCH, embed_dims=25)), 'embed_dims 25 is not a multiple of num_heads 3'),
        (dict(out_type='map'), "out_type 'map'"),
        (dict(num_aux_tokens=0), 'num_aux_tokens >= 1'),
        (dict(num_aux_tokens=-1), 'num_aux_tokens -1'),
        (dict(out_indices=2), r'out_indices \(2,\)'),
        (dict(out_indices=(-3,)), r'out_indices \(-3,\)'),
        (dict(out_indices=()), r'out_indices \(\)'),
        (dict(global_attn_indexes=(5,), window_size=2), r'^global_attn_indexes \(5,\)'),
        (dict(frozen_stages=3), 'frozen_stages 3'),
        (dict(interpolate_mode='nearest'), "interpolate_mode 'nearest' is unknown; use one of"),
        (dict(window_size=-1), 'window_size -1'),
        (dict(num_registers=2), 'num_registers 2 of num_aux_tokens 1 .* use 0..1'),
        (dict(num_registers=-1), 'num_registers -1 of num_aux_tokens 1'),
        (dict(num_aux_tokens=5, num_registers=2), 'num_registers 2 .* use 3..5'),
        (dict(num_aux_tokens=4, num_registers=4), 'num_aux_tokens >= 5'),
        (dict(window_size=7.0), 'window_size 7.0 is not a whole number from 0 up'),
        (dict(arch=dict(ARCH, num_heads=0)), 'num_heads 0 is not a whole number from 1 up'),
        (dict(arch=dict(ARCH, num_layers=2.5)), 'num_layers 2.5'),
        (dict(patch_size=0), 'patch_size 0 is not a whole number from 1 up; use one, such as 16'),
        (dict(img_size=-5), 'img_size -5 .* such as 224$'),
        (dict(img_size=(32, 0)), 'img_size 0'),
        (dict(img_size='64'), "img_size '64'"),
        (dict(in_channels=0), 'in_channels 0 .* such as 3$'),
        (dict(drop_rate=-0.1), 'drop_rate -0.1 is not a probability from 0 up'),
        (dict(attn_drop_rate='0.1'), "attn_drop_rate '0.1'"),
        (dict(drop_path_rate=1.0), 'drop_path_rate 1.0 .* not including 1'),
    ],
)
def test_a_meaningless_argument_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        small(**options)


def test_position_embedding_of_a_larger_grid_is_resized_on_loading():
    source, target = small(img_size=64), small()

    target.load_state_dict(source.state_dict(), strict=True)

    expected = torch.nn.functional.interpolate(
        source.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (8, 8)), size=(4, 4), mode='bicubic'
    )
    torch.testing.assert_close(target.pos_embed[:, 1:], expected.flatten(2).transpose(1, 2))
    torch.testing.assert_close(target.pos_embed[:, :1], source.pos_embed[:, :1])


def test_position_embedding_is_tiled_on_load_where_asked():
    source, target = small(img_size=32), small(img_size=(64, 48), interpolate_mode='tile')

    target.load_state_dict(source.state_dict(), strict=True)

    # (1, 4·4, C) → (4, 4, C), twice below itself and one and a half times beside itself
    tile = source.pos_embed[0, 1:].unflatten(0, (4, 4))
    tiled = torch.cat([tile, tile[:, :2]], dim=1).repeat(2, 1, 1)
    torch.testing.assert_close(target.pos_embed[0, 1:], tiled.flatten(0, 1), rtol=0, atol=0)
    torch.testing.assert_close(target.pos_embed[:, :1], source.pos_embed[:, :1])


def test_a_window_of_a_larger_image_sees_the_positions_it_was_trained_with():
    options = dict(interpolate_mode='tile', window_size=4, num_aux_tokens=0, out_type='featmap')
    backbone = small(img_size=32, **options).eval()
    nn.init.normal_(backbone.pos_embed)
    images = torch.randn(1, 3, 64, 64)

    (whole,), (window,) = backbone(images), backbone(images[..., 32:, :32])

    torch.testing.assert_close(whole[..., 4:, :4], window)


def test_non_square_grids_load_at_their_own_size():
    source, target = small(img_size=(16, 48)), small(img_size=(16, 48))

    target.load_state_dict(source.state_dict(), strict=True)

    torch.testing.assert_close(target.pos_embed, source.pos_embed)


def test_position_embedding_of_an_unknown_grid_is_refused():
    with pytest.raises(ValueError, match='10 patch positions, neither the grid 3x5 of this'):
        layout = dict(cls_token=1)
        adapt_position(torch.zeros(1, 11, 24), layout, torch.zeros(1, 16, 24), layout, (3, 5))


def test_positions_of_surplus_auxiliary_tokens_are_dropped():
    source, layout = torch.arange(18.0).reshape(1, 18, 1), dict(cls_token=1, dist_token=1)

    adapted = adapt_position(source, layout, torch.zeros(1, 17, 1), dict(cls_token=1), (4, 4))

    assert adapted.flatten().tolist() == [0.0, *range(2, 18)]


def test_a_trace_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r'trace has shape \(1, 9, 1\); expected'):
        small()(torch.randn(1, 3, 32, 32), trace=torch.zeros(1, 9, 1))
