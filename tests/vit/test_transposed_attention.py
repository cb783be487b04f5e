"""The gradient of the trace alone equals the fused kernel's, in any number of pieces."""

import pytest
import torch

from mmtoken.vit import traced_attention
from mmtoken.vit.transposed_attention import NUMBERS


@pytest.mark.parametrize('numbers', [1, 100, 2**20])
@pytest.mark.parametrize('masked', [False, True])
def test_gradient_of_the_trace_alone_is_that_of_the_whole(monkeypatch, numbers, masked):
    monkeypatch.setitem(NUMBERS, 'cpu', numbers)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8)
    trace, gradient = torch.rand(2, 7, 2, requires_grad=True), torch.rand(2, 7, 2)
    mask = torch.rand(2, 1, 1, 7) > 0.4 if masked else None
    mask = mask if mask is None else mask | (torch.arange(7) == 0)

    _, alone = traced_attention(q, k, v, trace, mask)
    (found,) = torch.autograd.grad(alone, trace, gradient)

    _, whole = traced_attention(q.requires_grad_(), k, v, trace, mask)
    (expected,) = torch.autograd.grad(whole, trace, gradient)
    torch.testing.assert_close(alone, whole)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_values_stay_out_of_the_graph_where_only_the_trace_has_one():
    q, k, v = torch.randn(3, 2, 3, 7, 8)

    out, mixed = traced_attention(q, k, v, torch.rand(2, 7, 1, requires_grad=True))

    assert not out.requires_grad
    assert mixed.requires_grad
