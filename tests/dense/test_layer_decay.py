"""The optimizer groups, listed, in all three libraries."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmtoken.dense import TokenViTLayerDecayConstructor
from mmtoken.errors import UserError
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


class Detector(nn.Module):
    """Anything with a backbone, a neck and a head."""

    def __init__(self, **options):
        super().__init__()
        self.backbone = TokenViT(ARCH, 32, num_aux_tokens=3, **options)
        self.neck = nn.Conv2d(24, 24, 1)
        self.head = nn.Linear(24, 5)


def build(model, **paramwise_cfg):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor='mmpretrain.TokenViTLayerDecayConstructor',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            paramwise_cfg=paramwise_cfg,
        ),
    ).optimizer


@pytest.fixture(params=['mmpretrain', 'mmdet', 'mmseg'])
def scope(request):
    init_default_scope(request.param)
    return request.param


def test_groups_by_depth_and_decay_in_every_library(scope):
    optimizer = build(Detector(), layer_decay_rate=0.5)

    listed = [
        (round(g['lr'], 4), g['weight_decay'], sorted(g['param_names']))
        for g in optimizer.param_groups
    ]
    embedding = [
        'cls_token',
        'dist_token',
        'patch_embed.projection.bias',
        'pos_embed',
        'reg_tokens',
    ]
    linears = ['attn.proj', 'attn.qkv', 'ffn.layers.0.0', 'ffn.layers.1']
    norms = ['ln1.bias', 'ln1.weight', 'ln2.bias', 'ln2.weight']
    assert listed == [
        (0.125, 0.0, [f'backbone.{n}' for n in embedding]),
        (0.125, 0.1, ['backbone.patch_embed.projection.weight']),
        (0.25, 0.0, [f'backbone.layers.0.{n}' for n in [*(f'{n}.bias' for n in linears), *norms]]),
        (0.25, 0.1, [f'backbone.layers.0.{n}.weight' for n in linears]),
        (0.5, 0.0, [f'backbone.layers.1.{n}' for n in [*(f'{n}.bias' for n in linears), *norms]]),
        (0.5, 0.1, [f'backbone.layers.1.{n}.weight' for n in linears]),
        (1.0, 0.0, ['backbone.ln1.bias', 'backbone.ln1.weight', 'head.bias', 'neck.bias']),
        (1.0, 0.1, ['head.weight', 'neck.weight']),
    ]


def test_lr_scale_is_the_share_of_the_full_learning_rate():
    optimizer = build(Detector(), layer_decay_rate=0.5)

    scales = [group['lr_scale'] for group in optimizer.param_groups]

    assert scales == [0.125, 0.125, 0.25, 0.25, 0.5, 0.5, 1, 1]


def test_without_a_rate_or_decay_every_parameter_has_the_full_rate_and_none():
    wrapper = TokenViTLayerDecayConstructor(dict(optimizer=dict(type='SGD', lr=0.3)))

    groups = wrapper(Detector()).optimizer.param_groups

    assert {group['lr'] for group in groups} == {0.3}
    assert {group['weight_decay'] for group in groups} == {0.0}


def test_every_group_is_logged(run_log):
    build(Detector(), layer_decay_rate=0.5)

    groups = [text for level, text in run_log if level == 'INFO' and text.startswith('depth')]
    assert groups[:2] == [
        'depth 0: lr 0.125, weight decay 0, 5 tensors',
        'depth 0: lr 0.125, weight decay 0.1, 1 tensors',
    ]
    assert len(groups) == 8


def test_every_auxiliary_token_is_free_of_decay():
    optimizer = build(Detector(), layer_decay_rate=0.5)

    free = {n for g in optimizer.param_groups if g['weight_decay'] == 0 for n in g['param_names']}

    assert {f'backbone.{n}' for n in ('cls_token', 'dist_token', 'reg_tokens', 'pos_embed')} <= free


def test_every_trainable_parameter_is_in_one_group():
    model = Detector(frozen_stages=1)

    optimizer = build(model, layer_decay_rate=0.7)

    grouped = [id(p) for g in optimizer.param_groups for p in g['params']]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_the_backbone_alone_gets_its_multiplier():
    optimizer = build(Detector(), backbone_lr_mult=0.1)

    rates = {name: g['lr'] for g in optimizer.param_groups for name in g['param_names']}
    assert {lr for name, lr in rates.items() if name.startswith('backbone.')} == {0.1}
    assert {lr for name, lr in rates.items() if not name.startswith('backbone.')} == {1.0}


def test_multiplier_and_decay_work_together():
    optimizer = build(Detector(), backbone_lr_mult=0.1, layer_decay_rate=0.5)

    rates = {name: g['lr'] for g in optimizer.param_groups for name in g['param_names']}
    assert rates['backbone.ln1.weight'] == pytest.approx(0.1)
    assert rates['backbone.layers.1.ln1.weight'] == pytest.approx(0.05)
    assert rates['backbone.pos_embed'] == pytest.approx(0.0125)


@pytest.mark.parametrize('wrong', [0, -1, '0.1'])
def test_a_multiplier_that_is_none_is_named(wrong):
    with pytest.raises(UserError, match='backbone_lr_mult above 0'):
        build(Detector(), backbone_lr_mult=wrong)


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match="'decay_rate': 0.7"):
        build(Detector(), decay_rate=0.7)


def test_a_model_without_such_a_backbone_is_named():
    with pytest.raises(UserError, match='Linear has no backbone with get_layer_depth'):
        build(nn.Linear(2, 2), layer_decay_rate=0.7)


def test_optimizer_state_survives_a_round_trip():
    model = Detector()
    optimizer = build(model, layer_decay_rate=0.5)
    model.head(torch.ones(1, 24)).sum().backward()
    optimizer.step()

    again = build(model, layer_decay_rate=0.5)
    again.load_state_dict(optimizer.state_dict())

    assert [g['lr'] for g in again.param_groups] == [g['lr'] for g in optimizer.param_groups]
