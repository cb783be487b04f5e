"""The way back of the trace equals the gradient of the way there, in any number of pieces."""

import pytest
import torch

from mmtoken.rollout.trace_gradient import trace_gradient
from mmtoken.rollout.transposed_attention import NUMBERS, transposed_attention
from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool, TokenBlock


@pytest.mark.parametrize('numbers', [1, 100, 2**20])
@pytest.mark.parametrize('masked', [False, True])
def test_it_is_the_transposed_matrix(monkeypatch, numbers, masked):
    monkeypatch.setitem(NUMBERS, 'cpu', numbers)
    torch.manual_seed(0)
    q, k, values = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 5, 2)
    mask = torch.rand(2, 1, 1, 7) > 0.4 if masked else None
    mask = mask if mask is None else mask | (torch.arange(7) == 0)

    found = transposed_attention(q, k, values, mask)

    scores = q @ k.transpose(-2, -1) / 8**0.5
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    expected = scores.softmax(-1).transpose(-2, -1) @ values
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def way_there(layer, tokens, gradient):
    """The gradient of the trace by the pass forward and back."""
    trace = torch.rand(2, tokens.x.shape[1], 4, requires_grad=True)
    left = layer(tokens.with_(trace=trace)).trace
    return torch.autograd.grad(left, trace, gradient)[0]


@pytest.mark.parametrize('window', [0, 3])
@pytest.mark.parametrize('num_aux', [0, 2])
def test_the_way_back_is_the_gradient_of_the_way_there(window, num_aux):
    torch.manual_seed(0)
    projection = dict(type='LinearProjection')
    block = TokenBlock(24, 3, 48, projection, window_size=window)
    count = num_aux + 5 * 7
    tokens = Tokens(torch.randn(2, count, 24), (5, 7), num_aux)
    gradient = torch.randn(2, count, 4)

    with torch.no_grad():
        found = trace_gradient(block, tokens, gradient)

    expected = way_there(block, tokens, gradient)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


class EveryThirdPatch(BasePool):
    """A pool as a user writes it."""

    stride = 3

    def forward(self, tokens):
        maps = tokens.feature_map()[:, :, ::3, ::3]
        x = torch.cat([tokens.aux, maps.flatten(2).transpose(1, 2)], dim=1)
        return tokens.with_(x=x, grid=tuple(maps.shape[2:]))


@pytest.mark.parametrize('num_aux', [0, 2])
def test_the_way_back_leads_through_a_pool_that_knows_its_stride_alone(num_aux):
    torch.manual_seed(0)
    pool, count = EveryThirdPatch(), num_aux + 5 * 7
    tokens = Tokens(torch.randn(2, count, 24), (5, 7), num_aux)
    gradient = torch.randn(2, num_aux + 2 * 3, 4)

    with torch.no_grad():
        found = trace_gradient(pool, tokens, gradient)

    expected = way_there(pool, tokens, gradient)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
