"""Weights of timm's models, converted, compute what they computed there, and go back unchanged."""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial

import pytest
import timm
import torch
from foreign_models import apart, build_converted, tokens_of_layers
from timm_models import GRID, HEADS, PEERS, SIZES, other_sizes, tokens_of_blocks
from torch import nn
from weights_table import Row

from mmtoken.convert.conversion import Conversion, Hints
from mmtoken.convert.describe import ACTIVATIONS
from mmtoken.convert.recognise import convert
from mmtoken.convert.to_timm import to_timm
from mmtoken.errors import UserError
from mmtoken.vit.arguments import ARCHS

EVERY_PEER = pytest.mark.parametrize('name', PEERS)
MODULES = ('vision_transformer', 'eva', 'deit', 'beit', 'vision_transformer_relpos')
# No weights are offered for it, and it has the width of 12 heads and 16 of them.
OTHER_HEADS = {'vit_base_patch16_gap_224'}
# Known by its width alone, which a small one does not have.
KNOWN_BY_WIDTH = {'eva02_enormous_patch14_clip_224'}


@cache
def converted(name: str) -> tuple[nn.Module, Conversion, nn.Module]:
    """timm's model, what becomes of its weights, and ours that has them."""
    model = PEERS[name].build()
    conversion = convert(model.state_dict(), None, PEERS[name].hints)
    return model, conversion, build_converted(conversion)


def measure(name: str, size: tuple[int, int]) -> float:
    """The largest difference in what enters the first layer and leaves any of them."""
    model, _, backbone = converted(name)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    return apart(tokens_of_layers(backbone, images), tokens_of_blocks(model, images))


@EVERY_PEER
def test_every_layer_agrees_at_the_training_size(name):
    side = GRID * PEERS[name].patch

    assert measure(name, (side, side)) < 1e-5


@EVERY_PEER
def test_every_layer_agrees_at_other_sizes(name):
    for size in other_sizes(PEERS[name].patch):
        assert measure(name, size) < 1e-5


@EVERY_PEER
def test_weights_go_back_to_timm_unchanged(name):
    model, conversion, _ = converted(name)

    back = to_timm(conversion.state, conversion.backbone, conversion.layout).state

    given = model.state_dict()
    left_out = {old for old, fate in conversion.report.items() if fate.what == 'dropped'}
    assert back.keys() == given.keys() - left_out
    assert all(torch.equal(back[name], given[name]) for name in back)


@EVERY_PEER
def test_every_weight_is_accounted_for(name):
    model, conversion, _ = converted(name)

    assert conversion.report.keys() == model.state_dict().keys()
    into = {fate.into for fate in conversion.report.values()} - {None}
    assert into == conversion.state.keys()


@EVERY_PEER
def test_norms_and_scores_are_those_that_no_weight_shows(name):
    # An epsilon that is ten times another one makes a difference below the tolerance.
    model, _, backbone = converted(name)
    block, layer = model.blocks[0], backbone.layers[0]

    assert layer.ln1.eps == block.norm1.eps
    assert layer.attn.num_heads == block.attn.num_heads
    hidden = getattr(block.mlp, 'norm', None)
    assert getattr(hidden, 'eps', None) == getattr(layer.ffn.hidden, 'eps', None)


def outcome(name: str) -> str:
    """What a small model of timm comes to: 'equal', 'refused', 'not built', or how it differs."""
    patch = next((side for side in (14, 32, 8) if f'patch{side}' in name), 16)
    for width in (64, 96):
        try:
            options = {**SIZES, 'embed_dim': width, 'img_size': GRID * patch}
            model = timm.create_model(name, pretrained=False, **options)
            break
        except (AssertionError, TypeError, RuntimeError):
            continue
    else:
        return 'not built'
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    differences = []
    for activation in (None, *ACTIVATIONS):
        try:
            conversion = convert(model.state_dict(), None, Hints(HEADS, activation))
        except UserError as error:
            if '--activation' in str(error):
                continue
            return 'refused'
        backbone = build_converted(conversion)
        images = torch.randn(1, 3, *model.patch_embed.img_size)
        ours, theirs = tokens_of_layers(backbone, images), tokens_of_blocks(model.eval(), images)
        differences.append(apart(ours, theirs))
        if differences[-1] < 1e-5:
            return 'equal'
        if activation is None:
            break
    return f'differs by {min(differences)}'


def all_models() -> list[str]:
    return [name for module in MODULES for name in timm.list_models(module=module)]


@pytest.mark.long
def test_no_model_of_timm_becomes_another_function():
    outcomes = {name: outcome(name) for name in all_models() if name not in KNOWN_BY_WIDTH}

    assert [name for name, found in outcomes.items() if found.startswith('differs')] == []
    assert sum(found == 'equal' for found in outcomes.values()) > 150


@pytest.mark.parametrize(
    'name',
    ['vit_base_patch16_rope_reg1_gap_256', 'vit_base_patch16_rpn_224', 'beit_base_patch16_224',
     'eva02_base_patch16_clip_224', 'vit_pe_core_base_patch16_224', 'vit_base_patch16_rope_224'],
)  # fmt: skip
def test_a_model_with_the_names_of_another_is_refused(name):
    assert outcome(name) == 'refused'


def check_size(name: str, **options) -> None:
    """Compare heads and image size that are read off the weights of a model of full width."""
    with torch.device('meta'):
        model = timm.create_model(name, pretrained=False, **options)
    # Gates have theirs, of which nothing is to be said.
    activation = getattr(getattr(model.blocks[0], 'mlp', None), 'act', None)
    told = Hints(activation=None if isinstance(activation, nn.SiLU) else 'GELU')
    found = convert(model.state_dict(), None, told).backbone

    arch = found['arch'] if isinstance(found['arch'], dict) else ARCHS[found['arch']]
    assert arch['num_heads'] == model.blocks[0].attn.num_heads, name
    if model.pos_embed is not None:
        assert found['img_size'] // found['patch_size'] == model.patch_embed.grid_size[0], name


@pytest.mark.long
def test_heads_and_image_size_of_every_model_of_timm_are_known():
    for name in all_models():
        # Those have a number of heads for each of their layers.
        if name not in OTHER_HEADS and 'sapiens2' not in name:
            with suppress(UserError):
                check_size(name, depth=1)


@pytest.mark.parametrize(
    'name', ['deit_tiny_patch16_224', 'vit_base_patch14_dinov2', 'vit_huge_plus_patch16_dinov3']
)
def test_heads_and_image_size_of_published_models_are_known(name):
    check_size(name, depth=2)


def rows() -> list[Row]:
    """The rows of docs/weights.md that these tests hold."""

    def measured(name: str) -> tuple[float, float]:
        patch = PEERS[name].patch
        side = GRID * patch
        return measure(name, (side, side)), max(measure(name, size) for size in other_sizes(patch))

    version = f'timm {timm.__version__}'
    return [
        Row(peer.family, f'timm `{name}`', partial(measured, name), version)
        for name, peer in PEERS.items()
    ]
