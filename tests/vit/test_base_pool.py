"""A user's pool has a stride and a forward; the trace follows the tokens by itself."""

import pickle

import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool, TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


class MaxPool(BasePool):
    """The largest of stride×stride patches, as a user writes it."""

    stride = 3

    def __init__(self, embed_dims, num_aux_tokens, norm_cfg):
        super().__init__()

    def forward(self, tokens):
        maps = torch.nn.functional.max_pool2d(tokens.feature_map(), self.stride, ceil_mode=True)
        x = torch.cat([tokens.aux, maps.flatten(2).transpose(1, 2)], dim=1)
        return tokens.with_(x=x, grid=tuple(maps.shape[2:]))


def cells(grid, stride, num_aux):
    """The means over stride×stride patches, patch by patch; rows sum to 1."""
    (height, width), rows = grid, [*torch.eye(num_aux + grid[0] * grid[1])[:num_aux]]
    for top in range(0, height, stride):
        for left in range(0, width, stride):
            inside = torch.zeros(height, width)
            inside[top : top + stride, left : left + stride] = 1
            rows.append(torch.cat([torch.zeros(num_aux), inside.flatten() / inside.sum()]))
    return torch.stack(rows)


def pool():
    return MaxPool(24, 1, {})


@pytest.mark.parametrize('grid', [(6, 9), (5, 7), (1, 1)])
@pytest.mark.parametrize('num_aux', [0, 2])
def test_the_trace_becomes_the_mean_over_the_patches_that_a_token_stands_for(grid, num_aux):
    count = num_aux + grid[0] * grid[1]
    trace = torch.rand(2, count, 4)

    left = pool()(Tokens(torch.randn(2, count, 24), grid, num_aux, trace))

    torch.testing.assert_close(left.trace, cells(grid, 3, num_aux) @ trace)


def test_without_a_trace_there_is_none():
    left = pool()(Tokens(torch.randn(2, 36, 24), (5, 7), 1))

    assert left.trace is None


def test_it_pools_the_trace_after_pickling_once():
    tokens = Tokens(torch.randn(2, 36, 24), (5, 7), 1, torch.rand(2, 36, 1))

    copy = pickle.loads(pickle.dumps(pool()))

    torch.testing.assert_close(copy(tokens).trace, pool()(tokens).trace)


def test_a_backbone_takes_it_by_name(monkeypatch):
    monkeypatch.setitem(MODELS._module_dict, 'MaxPool', MaxPool)
    backbone = TokenViT(ARCH, 32, 4, pool_before=(1,), pool=dict(type='MaxPool'), out_type='raw')

    (out,), trace = backbone(torch.randn(2, 3, 32, 32), torch.rand(2, 65, 1))

    assert out.shape == (2, 10, 24)
    assert trace.shape == (2, 10, 1)


def test_a_grid_that_is_not_the_strides_is_named():
    wrong = pool()
    wrong.forward = lambda tokens: tokens

    with pytest.raises(
        UserError, match='MaxPool makes the grid 6x6 one of 6x6; its stride 3 .* 2x2'
    ):
        wrong(Tokens(torch.randn(1, 37, 24), (6, 6), 1))


def test_another_layer_than_a_pool_is_named(monkeypatch):
    monkeypatch.setitem(MODELS._module_dict, 'Wrong', lambda **_: torch.nn.Identity())

    with pytest.raises(UserError, match='pool of type Identity is no BasePool'):
        TokenViT(ARCH, 32, 4, pool_before=(1,), pool=dict(type='Wrong'))
