"""Files that are no model's, two models', or one that a backbone cannot be, are refused by name."""

import pytest
import timm
import torch
from timm_models import HEADS, PEERS, as_dinov2

from mmtoken.convert.conversion import Hints
from mmtoken.convert.families import FAMILIES
from mmtoken.convert.recognise import convert, recognise
from mmtoken.convert.to_timm import to_timm
from mmtoken.errors import UserError

HINTS = Hints(num_heads=HEADS)
VALUE = torch.zeros(3)


def state_of(name='vit_tiny_patch16_224'):
    return dict(PEERS[name].build().state_dict())


def test_weights_of_no_family_are_refused_by_the_first_name():
    with pytest.raises(UserError, match=r"'stages\.0\.conv' and the 1 other weights are of no"):
        convert({'stages.0.conv': VALUE, 'fc.bias': VALUE})


def test_a_mixture_is_refused_by_the_first_name_of_the_other():
    other = {'layers.0.attn.qkv.weight': VALUE, 'patch_embed.projection.weight': VALUE}

    with pytest.raises(
        UserError, match=r"'layers\.0\.attn\.qkv\.weight' is of mmpretrain's .* mixe"
    ):
        convert({**state_of(), **other})


def test_two_heads_of_one_model_are_refused():
    state = {**state_of(), 'fc_norm.weight': VALUE, 'fc_norm.bias': VALUE}

    with pytest.raises(UserError, match=r"'norm\.weight' and 'fc_norm\.weight' would both become"):
        convert(state, None, HINTS)


def test_a_weight_that_no_option_computes_is_refused():
    state = {**state_of(), 'blocks.0.attn.rel_pos_h': VALUE}

    with pytest.raises(UserError, match=r"'blocks\.0\.attn\.rel_pos_h' has no counterpart in our"):
        convert(state, None, HINTS)


def test_layers_that_are_not_alike_are_refused():
    state = state_of('deit3_small_patch16_224')
    state.pop('blocks.1.ls2.gamma')

    with pytest.raises(
        UserError, match=r"have no 'layers\.1\.ffn\.gamma2\.weight', which a TokenV"
    ):
        convert(state, None, HINTS)


def test_a_part_that_is_missing_is_refused():
    state = state_of('eva02_base_patch14_224')
    state.pop('blocks.1.attn.k_proj.weight')

    with pytest.raises(UserError, match=r'made of 3 weights, and the file lacks number 2'):
        convert(state, None, HINTS)


def test_a_weight_of_another_shape_is_refused():
    state = {**state_of(), 'blocks.1.mlp.fc1.bias': VALUE}

    with pytest.raises(
        UserError, match=r"'blocks\.1\.mlp\.fc1\.bias' of timm's .* of shape \(3,\)"
    ):
        convert(state, None, HINTS)


def test_half_a_checkpoint_is_refused():
    state = {k: v for k, v in state_of().items() if not k.startswith('blocks.0.mlp')}

    with pytest.raises(UserError, match='no MLP in their first layer; give the whole checkpoint'):
        convert(state, None, HINTS)


def test_unknown_heads_are_asked_for():
    with pytest.raises(UserError, match=r'64 channels wide.*say it with --num-heads'):
        convert(state_of())


@pytest.mark.parametrize(
    ('name', 'whose'),
    [('vit_base_patch16_clip_224', 'CLIP'), ('vit_base_patch16_siglip_224', 'SigLIP')],
)
def test_an_activation_that_weights_do_not_say_is_asked_for(name, whose):
    with pytest.raises(UserError, match=rf'is of {whose}, whose.*say it with --activation'):
        convert(state_of(name), None, HINTS)


def test_positions_of_no_square_are_asked_for_and_taken():
    peer = PEERS['vit_tiny_patch16_224']
    state = peer.build(img_size=(32, 96)).state_dict()

    with pytest.raises(UserError, match=r'pos_embed has 13 rows.*--img-size HEIGHT WIDTH'):
        convert(state, None, HINTS)
    assert convert(state, None, Hints(HEADS, img_size=(32, 96))).backbone['img_size'] == (32, 96)


def test_an_unknown_source_is_refused_with_what_may_be_meant():
    with pytest.raises(
        UserError, match=r"source 'mmpretain' is unknown.*did you mean 'mmpretrain'\?"
    ):
        recognise(state_of(), 'mmpretain')


def test_weights_of_another_family_than_the_one_named_are_refused():
    with pytest.raises(UserError, match='are of no known model of dinov2; known are'):
        recognise(state_of(), 'dinov2')


def test_the_encoder_of_mae_is_taken_by_its_name():
    backbone = convert(state_of(), 'mae', HINTS).backbone

    assert 'interpolate_mode' not in backbone
    assert convert(state_of(), None, HINTS).backbone['interpolate_mode'] == 'antialias'


def test_every_family_is_known_by_its_marks_alone():
    for name in ('vit_tiny_patch16_224', 'eva02_tiny_patch14_224'):
        state = state_of(name)
        assert recognise(state).has_marks(state)
    assert len({family.what for family in FAMILIES}) == len(FAMILIES)


def test_a_model_with_registers_goes_to_timm_by_its_function_where_its_layout_is_unknown():
    model = PEERS['vit_small_patch14_reg4_dinov2'].build()
    conversion = convert(as_dinov2(model), None, HINTS)

    back = to_timm(conversion.state, conversion.backbone, conversion.layout)

    for name, value in back.state.items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('backbone', 'message'),
    [
        (dict(type='LIFEViT'), 'timm has no model that computes what a LIFEViT does'),
        (dict(type='TokenViT', residual_scale=2), 'timm has no model with residual_scale=2'),
    ],
)
def test_what_timm_cannot_be_is_refused(backbone, message):
    with pytest.raises(UserError, match=message):
        to_timm({}, backbone)


def test_a_bias_of_keys_is_refused_where_timm_has_none():
    conversion = convert(state_of('eva02_tiny_patch14_224'), None, HINTS)
    conversion.state['backbone.layers.0.attn.qkv.bias'] += 1

    with pytest.raises(
        UserError, match=r"'backbone\.layers\.0\.attn\.qkv\.bias' is not zero for k"
    ):
        to_timm(conversion.state, conversion.backbone, conversion.layout)


@pytest.mark.parametrize(
    ('name', 'hints', 'said'),
    [
        ('vit_tiny_patch16_224', dict(window_size=7), '--window-size says nothing of timm'),
        ('vit_giant_patch14_dinov2', dict(activation='GELU'), 'these weights are of a gated one'),
    ],
)
def test_what_would_be_ignored_is_refused(name, hints, said):
    with torch.device('meta'):
        state = timm.create_model(name, depth=1).state_dict()
    with pytest.raises(UserError, match=said):
        convert(state, None, Hints(**hints))
