"""MLPs, scales and norms that other families of plain ViTs have, against mmpretrain's."""

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch.nn.functional import silu

from mmtoken.errors import UserError
from mmtoken.vit import MLP, SwiGLU, TokenViT

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
GATED = dict(ARCH, feedforward_channels=32)


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        (dict(layer_scale_init_value=0.1), dict(layer_scale_init_value=0.1)),
        (dict(pre_norm=True), dict(pre_norm=True, stem=dict(bias=False))),
        (
            dict(layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))),
            dict(mlp=dict(act_cfg=dict(type='QuickGELU'))),
        ),
        # mmpretrain takes 2/3 of the channels of 48.
        (
            dict(layer_cfgs=dict(ffn_type='swiglu_fused'), layer_scale_init_value=0.1),
            dict(arch=GATED, mlp=dict(type='SwiGLU'), layer_scale_init_value=0.1),
        ),
    ],
    ids=['LayerScale', 'norm before the layers', 'QuickGELU', 'SwiGLU'],
)
def test_it_is_mmpretrains_function_of_the_same_weights(theirs, ours):
    norm = dict(type='LN', eps=1e-6)
    given = VisionTransformer(ARCH, 32, 8, out_type='raw', norm_cfg=norm, **theirs)
    given.eval()
    torch.manual_seed(0)
    for parameter in given.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    backbone = TokenViT(**{'arch': ARCH, **ours}, img_size=32, patch_size=8, out_type='raw').eval()
    images = torch.randn(2, 3, 32, 48)

    backbone.load_state_dict(given.state_dict())

    torch.testing.assert_close(backbone(images)[0], given(images)[0], rtol=1e-5, atol=1e-5)


def test_the_gate_multiplies_and_its_norm_comes_before_the_way_back():
    torch.manual_seed(0)
    mlp, x = SwiGLU(4, 6, norm_cfg=dict(type='LN')), torch.randn(2, 3, 4)
    first, second = mlp.w12(x).chunk(2, dim=-1)

    torch.testing.assert_close(mlp(x), mlp.w3(mlp.norm(silu(first) * second)))


@pytest.mark.parametrize('mlp', [MLP(4, 6), SwiGLU(4, 6), SwiGLU(4, 6, norm_cfg=dict(type='LN'))])
def test_hidden_channels_can_be_looked_at(mlp):
    seen = []
    with mlp.hidden.register_forward_hook(lambda _, i, out: seen.append(out)):
        mlp(torch.randn(1, 2, 4))

    assert [out.shape for out in seen] == [(1, 2, 6)]


@pytest.mark.parametrize('kind', [MLP, SwiGLU])
def test_dropout_and_stochastic_depth_act_in_training_alone(kind):
    mlp, x = kind(4, 6, drop_rate=0.5, drop_path_rate=0.5), torch.ones(64, 1, 4)

    assert not torch.equal(mlp(x), mlp(x))
    skipped = (mlp(x) == 0).all(dim=-1)
    assert 10 < skipped.sum() < 54
    assert torch.equal(mlp.eval()(x), mlp(x))


def test_scales_start_at_their_value_on_both_branches():
    backbone = TokenViT(ARCH, 32, 8, layer_scale_init_value=0.25)

    scales = [p for name, p in backbone.named_parameters() if 'gamma' in name]

    assert len(scales) == 2 * ARCH['num_layers']
    assert all(torch.equal(scale, torch.full((24,), 0.25)) for scale in scales)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mlp=dict(type='SwiGLU', act_cfg={})), "mlp of type SwiGLU does not take 'act_cfg'"),
        (dict(mlp=dict(drop_rate=0.1)), 'mlp has drop_rate, which the backbone sets itself'),
        (dict(layer_scale_init_value=-1), 'layer_scale_init_value -1 is not a number from 0 up'),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        TokenViT(ARCH, 32, 8, **options)
