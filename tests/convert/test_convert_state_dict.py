"""Names of other projects become ours, all of them, or are refused."""

import re
import warnings

import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.convert import convert_state_dict
from mmtoken.errors import UserError

MODULES = [
    'patch_embed.proj',
    'norm',
    *(f'blocks.0.{n}' for n in ('norm1', 'norm2', 'attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2')),
    'head',
    'head_dist',
]
TIMM_NAMES = [
    *('cls_token', 'dist_token', 'pos_embed'),
    *(f'{module}.{kind}' for module in MODULES for kind in ('weight', 'bias')),
]


@pytest.mark.parametrize('source', ['deit', 'timm', 'tl-align'])
def test_distilled_deit_covers_model_exactly(source):
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='TokenViT',
                arch=dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=48),
                img_size=32,
                num_aux_tokens=2,
            ),
            head=dict(type='DeiTClsHead', num_classes=7, in_channels=24),
        )
    )

    converted = convert_state_dict({name: torch.zeros(1) for name in TIMM_NAMES}, source)

    assert set(converted) == set(model.state_dict())


def test_registers_of_timm_are_ours():
    assert list(convert_state_dict({'reg_token': torch.zeros(1, 4, 3)}, 'timm')) == [
        'backbone.reg_tokens'
    ]


@pytest.mark.parametrize('place', ['model', 'state_dict'])
def test_a_whole_checkpoint_is_taken(place):
    checkpoint = {place: {'module.norm.bias': torch.zeros(3)}, 'epoch': 300}

    assert list(convert_state_dict(checkpoint, 'deit')) == ['backbone.ln1.bias']


def test_weights_of_life_come_with_what_their_model_needs():
    with pytest.warns(UserWarning, match=r"dict\(type='LIFEProjection', aux_key='first'\)"):
        convert_state_dict({'cls_token': torch.zeros(1, 1, 3)}, 'life')


def test_what_weights_of_life_need_is_said_at_the_line_of_the_user():
    with pytest.warns(UserWarning, match='aux_key') as seen:
        convert_state_dict({'cls_token': torch.zeros(1, 1, 3)}, 'life')

    # Once for each of which Python shows a warning.
    assert [warning.filename for warning in seen] == [__file__]


@pytest.mark.parametrize(('name', 'source'), [('norm.bias', 'life'), ('cls_token', 'deit')])
def test_where_the_key_makes_no_difference_nothing_is_said(name, source):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        convert_state_dict({name: torch.zeros(3)}, source)


def test_values_pass_through_untouched():
    value = torch.randn(3)

    (converted,) = convert_state_dict({'norm.bias': value}, 'deit').values()

    assert converted is value


@pytest.mark.parametrize(
    'name', ['blocks.0.attn.qkv.scale1.weight', 'stages.0.weight', 'backbone.norm.weight']
)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(UserError, match=name):
        convert_state_dict({name: torch.zeros(1)}, 'deit')


@pytest.mark.parametrize('source', ['jax', ['swin'], None])
def test_an_unknown_source_is_refused(source):
    with pytest.raises(
        UserError, match=rf'source {re.escape(repr(source))} is unknown; use one of'
    ):
        convert_state_dict({}, source)
