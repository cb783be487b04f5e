"""What a backbone lacks of that which weights are of is named as in a config."""

import pytest
from mmpretrain.registry import MODELS

from mmtoken.life import LIFEViT
from mmtoken.swin import Swin
from mmtoken.vit import TokenViT
from mmtoken.vit.options import Differing, differing_options

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
TURNED = dict(type='RotaryPosition', base=50.0)


def small(**options):
    return MODELS.build(dict(type='TokenViT', arch=ARCH, img_size=32, patch_size=8, **options))


def config(**options):
    return dict(type='TokenViT', arch=ARCH, img_size=32, patch_size=8, **options)


@pytest.mark.parametrize(
    ('options', 'needed'),
    [
        (dict(num_aux_tokens=5, num_registers=4), 'num_aux_tokens=5, num_registers=4'),
        (dict(in_channels=1), 'in_channels=1'),
        (dict(stem=dict(bias=False)), 'stem=dict(bias=False)'),
        (dict(qkv_bias=False), 'qkv_bias=False'),
        (dict(layer_scale_init_value=0.1), 'layer_scale_init_value=0.1'),
        (dict(qk_norm=True), 'qk_norm=True'),
        (dict(pre_norm=True), 'pre_norm=True'),
        (dict(mlp=dict(type='SwiGLU')), "mlp=dict(type='SwiGLU')"),
        (dict(interpolate_mode='antialias'), "interpolate_mode='antialias'"),
    ],
)
def test_an_option_that_the_weights_need_is_named(options, needed):
    assert differing_options(small(), config(**options)).needed == needed


@pytest.mark.parametrize(
    ('options', 'silent'),
    [
        (
            dict(mlp=dict(act_cfg=dict(type='QuickGELU'))),
            "mlp=dict(act_cfg=dict(type='QuickGELU'))",
        ),
        (dict(position=TURNED), "position=dict(type='RotaryPosition', base=50.0)"),
        (dict(residual_scale=2.0), 'residual_scale=2.0'),
    ],
)
def test_what_no_weight_shows_is_told_apart(options, silent):
    assert differing_options(small(), config(**options)).silent == silent


def test_a_default_that_was_changed_here_is_named():
    found = differing_options(small(layer_scale_init_value=1e-5), config())

    assert found.needed == 'the default layer_scale_init_value'


def test_an_epsilon_makes_a_slight_difference():
    found = differing_options(small(), config(norm_cfg=dict(type='LN', eps=1e-5)))

    assert (found.silent, found.slight) == ('', "norm_cfg=dict(type='LN', eps=1e-05)")


def test_the_first_value_of_a_scale_and_drop_rates_make_none():
    built = small(layer_scale_init_value=1e-5, drop_path_rate=0.1, window_size=2)

    assert differing_options(built, config(layer_scale_init_value=0.1)) == Differing()


@pytest.mark.parametrize('carried', [None, 'TokenViT', {}, dict(type='NoSuchViT')])
def test_a_file_that_says_nothing_of_use_is_believed(carried):
    assert differing_options(small(), carried) == Differing()


@pytest.mark.parametrize(
    'carried',
    [
        dict(type='builtins.open', file='made', mode='w'),
        dict(config(), stem=dict(type='builtins.open', file='made', mode='w')),
        dict(config(), mlp=dict(act_cfg=dict(type='builtins.open', file='made', mode='w'))),
        dict(config(), norm_cfg=dict(type='open', _scope_='builtins')),
        dict(config(), stem=dict(type='TIMMBackbone', model_name='resnet18', pretrained=True)),
        dict(config(), stem=[dict(type='builtins.open', file='made', mode='w')]),
        dict(config(), no_such_option=1),
    ],
)
def test_what_a_file_carries_is_not_executed(carried, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert differing_options(small(), carried) == Differing()
    assert not (tmp_path / 'made').exists()


def test_a_backbone_of_another_kind_is_named_whole():
    found = differing_options(small(), dict(type='Swin', arch='tiny', window_size=7))

    assert found.needed == "backbone=dict(type='Swin', arch='tiny', window_size=7)"
    assert differing_options(Swin(), dict(type='Swin', arch='tiny')) == Differing()


def test_another_projection_is_named_by_the_class_that_has_it():
    found = differing_options(small(), dict(config(), type='LIFEViT'))

    assert found.needed == found.silent == "type='LIFEViT'"
    assert differing_options(LIFEViT(ARCH, 32, 8), dict(config(), type='LIFEViT')) == Differing()
    assert isinstance(small(), TokenViT)
