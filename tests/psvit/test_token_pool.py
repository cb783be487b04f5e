"""Pooled tokens are those of a strided convolution; their trace is the mean of what it reads."""

import pytest
import torch
from explicit_attention import pooling_matrix

from mmtoken.errors import UserError
from mmtoken.life import LIFEViT
from mmtoken.psvit import TokenPool
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


@pytest.mark.parametrize('grid', [(4, 6), (5, 7), (1, 1)])
@pytest.mark.parametrize('num_aux', [0, 2])
def test_trace_is_the_mean_of_the_patches_that_are_read(grid, num_aux):
    pool, count = TokenPool(8, num_aux), num_aux + grid[0] * grid[1]
    trace = torch.rand(2, count, 3)

    pooled = pool(Tokens(torch.randn(2, count, 8), grid, num_aux, trace))

    matrix = pooling_matrix(grid, num_aux)
    assert pooled.grid == (-(-grid[0] // 2), -(-grid[1] // 2))
    assert pooled.x.shape == (2, len(matrix), 8)
    torch.testing.assert_close(pooled.trace, matrix @ trace)


def test_what_is_read_for_the_trace_is_what_is_read_for_the_features():
    pool = TokenPool(1, 0)
    torch.nn.init.ones_(pool.conv.weight)
    torch.nn.init.zeros_(pool.conv.bias)
    pool.norm = torch.nn.Identity()
    x = torch.rand(1, 35, 1)

    pooled = pool(Tokens(x, (5, 7), 0))

    matrix = pooling_matrix((5, 7), 0)
    torch.testing.assert_close(pooled.x, (matrix > 0).float() @ x)


def test_auxiliary_tokens_see_no_patch_and_keep_their_trace():
    pool = TokenPool(8, 2)
    tokens = Tokens(torch.randn(1, 2 + 16, 8), (4, 4), 2, torch.rand(1, 18, 1))
    other = tokens.with_(x=torch.cat([tokens.aux, torch.randn(1, 16, 8)], dim=1))

    pooled, again = pool(tokens), pool(other)

    assert torch.equal(pooled.aux, again.aux)
    assert not torch.equal(pooled.patches, again.patches)
    assert torch.equal(pooled.trace[:, :2], tokens.trace[:, :2])


@pytest.mark.parametrize('kind', [TokenViT, LIFEViT])
def test_outputs_shrink_where_the_tokens_are_pooled(kind):
    backbone = kind(ARCH, 32, 4, out_indices=(0, 1, 2), out_type='featmap', pool_before=(1, -1))

    shapes = [tuple(out.shape[2:]) for out in backbone(torch.randn(1, 3, 32, 40))]

    assert shapes == [(8, 10), (4, 5), (2, 3)]


def test_pools_are_frozen_and_decayed_with_the_layer_after_them():
    backbone = TokenViT(ARCH, 32, 4, pool_before=(1, 2), frozen_stages=2).train()

    frozen = {name.split('.')[1] for name, p in backbone.pools.named_parameters()
              if not p.requires_grad and name.startswith('1.')}  # fmt: skip
    assert frozen == {'conv', 'aux', 'norm'}
    assert all(p.requires_grad for p in backbone.pools['2'].parameters())
    assert not backbone.pools['1'].training
    assert backbone.get_layer_depth('pools.2.conv.weight') == (3, 5)


def test_pools_above_the_last_output_do_not_run():
    backbone = TokenViT(ARCH, 32, 4, pool_before=(2,), out_indices=1, out_type='featmap')

    (out,) = backbone(torch.randn(1, 3, 32, 32))

    assert out.shape[2:] == (8, 8)
    assert not any(p.requires_grad for p in backbone.pools.parameters())


def test_a_trace_may_start_behind_a_pool():
    backbone = TokenViT(ARCH, 32, 4, pool_before=(1,), out_type='raw').eval()
    images, trace = torch.randn(2, 3, 32, 32), torch.rand(2, 65, 1)

    with torch.no_grad():
        _, from_second = backbone(images, backbone.pool_trace(trace, (8, 8), 1), trace_from=1)
        tokens = backbone.embed(images)
        tokens = backbone.layers[0](tokens).with_(trace=trace)
        for layer in (backbone.pools['1'], *backbone.layers[1:]):
            tokens = layer(tokens)

    torch.testing.assert_close(from_second, tokens.trace)
    with pytest.raises(UserError, match=r'trace has shape \(2, 65, 1\).*\(2, 17, M\).*grid 4x4'):
        backbone(images, trace, trace_from=1)


def test_a_layer_is_pooled_before_once():
    backbone = TokenViT(ARCH, 32, 4, pool_before=(1, -2))

    assert list(backbone.pools) == ['1']


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(pool=dict(type='TokenPool')), 'pool is set, and pool_before names no layer'),
        (dict(pool=dict(type='TokenPool', embed_dims=8), pool_before=(1,)), 'pool has embed_dims'),
        (dict(projection=dict(type='LinearProjection', bias=False)), 'projection has bias'),
    ],
)
def test_configs_of_parts_that_would_be_ignored_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        TokenViT(ARCH, 32, 4, **options)


@pytest.mark.parametrize(
    ('pool_before', 'named'),
    [((0,), 'has the first layer'), ((-3, 1), 'has the first layer'), ((3,), 'not a choice')],
)
def test_layers_that_cannot_be_pooled_before_are_named(pool_before, named):
    with pytest.raises(UserError, match=rf'pool_before .*{named}'):
        TokenViT(ARCH, 32, 4, pool_before=pool_before)
