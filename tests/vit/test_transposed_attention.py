"""The way back of the trace equals the gradient of the way there, in any number of pieces."""

import pytest
import torch

from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention
from mmtoken.vit.transposed_attention import NUMBERS, transposed_attention


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


@pytest.mark.parametrize('window', [0, 3])
@pytest.mark.parametrize('num_aux', [0, 2])
def test_the_way_back_is_the_gradient_of_the_way_there(window, num_aux):
    torch.manual_seed(0)
    attention = TokenAttention(24, 3, dict(type='LinearProjection'), window_size=window)
    count = num_aux + 5 * 7
    tokens = Tokens(torch.randn(2, count, 24), (5, 7), num_aux)
    trace = torch.rand(2, count, 4, requires_grad=True)
    gradient = torch.randn(2, count, 4)

    with torch.no_grad():
        found = attention.trace_gradient(tokens, gradient)

    _, mixed = attention(tokens.with_(trace=trace))
    (expected,) = torch.autograd.grad(mixed, trace, gradient)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
