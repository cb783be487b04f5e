"""A config of a part that names no type changes the default's arguments alone."""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.dense import SimpleFeaturePyramid
from mmtoken.errors import UserError
from mmtoken.life import LIFEProjection, LIFEViT
from mmtoken.mixing import PatchCutMix
from mmtoken.psvit import TokenPool
from mmtoken.vit import LinearProjection, TokenAttention, TokenBlock, TokenViT
from mmtoken.vit.building import complete

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


def vit(cls=TokenViT, **options):
    return cls(ARCH, 32, 8, **options)


def test_what_names_a_type_stands_alone():
    assert complete(dict(type='BN'), dict(type='LN', eps=1e-6)) == dict(type='BN')


def test_what_names_none_is_filled_up():
    assert complete(dict(eps=1.0), dict(type='LN', eps=1e-6)) == dict(type='LN', eps=1.0)


def test_nothing_is_the_default_itself():
    assert complete(None, dict(type='LN', eps=1e-6)) == dict(type='LN', eps=1e-6)


def test_neither_is_changed():
    cfg, default = dict(eps=1.0), dict(type='LN')

    complete(cfg, default)['eps'] = 2.0

    assert (cfg, default) == (dict(eps=1.0), dict(type='LN'))


def test_lifes_projection_takes_kernels_alone():
    backbone = vit(LIFEViT, projection=dict(kernel_sizes=(3, 5, 7)))

    projection = backbone.layers[0].attn.qkv
    assert isinstance(projection, LIFEProjection)
    assert [conv.kernel_size for conv in projection.depthwise] == [(3, 3), (5, 5), (7, 7)]


@pytest.mark.parametrize('projection', [None, {}])
def test_an_empty_projection_is_each_backbones_own(projection):
    kinds = [
        type(vit(cls, projection=projection).layers[0].attn.qkv) for cls in (TokenViT, LIFEViT)
    ]

    assert kinds == [LinearProjection, LIFEProjection]


def test_a_pool_takes_arguments_alone():
    backbone = vit(pool_before=(1,), pool=dict(norm_cfg=dict(eps=0.5)), norm_cfg=dict(eps=0.25))

    pool = backbone.pools['1']
    assert isinstance(pool, TokenPool)
    assert (pool.norm.eps, backbone.ln1.eps) == (0.5, 0.25)


def test_the_backbones_norms_take_an_eps_alone():
    backbone = vit(norm_cfg=dict(eps=0.25), pool_before=(1,))

    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {0.25}
    assert len(norms) == 2 * 2 + 1 + 1


def test_a_frozen_norm_keeps_the_defaults_eps():
    backbone = vit(norm_cfg=dict(requires_grad=False))

    assert backbone.ln1.eps == 1e-6
    assert not backbone.ln1.weight.requires_grad


@pytest.mark.parametrize('norm', ['BN', 'SyncBN', 'IN', 'GN', 'LN2d'])
def test_norms_of_maps_are_refused(norm):
    with pytest.raises(UserError, match=f"norm_cfg of type '{norm}' norms maps.*such as LN"):
        vit(norm_cfg=dict(type=norm))


@pytest.mark.parametrize('eps', ['1e-6', 0, -1e-5, True])
def test_an_eps_that_norms_nothing_is_refused(eps):
    with pytest.raises(UserError, match=f'eps of norm_cfg {eps!r} is not a number above 0'):
        vit(norm_cfg=dict(eps=eps))


def test_what_is_not_registered_or_not_taken_is_named():
    with pytest.raises(
        UserError, match="norm_cfg has type 'LNN', which is not registered; did you"
    ):
        vit(norm_cfg=dict(type='LNN'))
    with pytest.raises(UserError, match="of type LayerNorm does not take 'eps_'; did you mean"):
        vit(norm_cfg=dict(eps_=1e-6))
    with pytest.raises(UserError, match="mlp has type 'SwiGLUU', which is not registered; did"):
        vit(mlp=dict(type='SwiGLUU'))
    with pytest.raises(UserError, match='stem has type 3, which is not registered; correct it'):
        vit(stem=dict(type=3))


def test_the_parts_by_themselves_do_so_too():
    block = TokenBlock(24, 3, 48, {}, norm_cfg=dict(eps=0.25))

    assert (block.ln1.eps, block.ln2.eps) == (0.25, 0.25)
    assert isinstance(TokenAttention(24, 3, {}).qkv, LinearProjection)
    assert TokenPool(24, norm_cfg=dict(eps=0.25)).norm.eps == 0.25


def test_the_pyramids_norms_keep_their_type():
    neck = SimpleFeaturePyramid(24, 16, (8,), patch_size=8, norm_cfg=dict(eps=0.25))

    norms = [module for module in neck.modules() if hasattr(module, 'eps')]
    assert [(type(norm).__name__, norm.eps) for norm in norms] == [('LayerNorm2d', 0.25)] * 2


def test_the_mix_takes_an_alpha_alone():
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            backbone=dict(type='TokenViT', arch=ARCH, img_size=32, patch_size=8),
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=24),
            mix=dict(alpha=0.5),
        )
    )

    assert isinstance(model.mixer, PatchCutMix)
    assert model.mixer.alpha == 0.5


@pytest.mark.parametrize(
    ('key', 'remedy'),
    [('kernel_size', "did you mean 'kernel_sizes'"), ('x', 'it takes embed_dims')],
)
def test_a_key_that_a_part_does_not_take_is_named(key, remedy):
    with pytest.raises(UserError, match=rf"LIFEProjection does not take '{key}'; {remedy}"):
        vit(LIFEViT, projection={key: (3, 5)})


def test_what_is_no_config_of_a_part_is_named():
    with pytest.raises(
        UserError, match=r"'LIFEProjection' is not the config of a part; use a dict"
    ):
        vit(projection='LIFEProjection')
