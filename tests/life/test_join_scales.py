"""Joined scales are chunks and concatenations, in value and gradients."""

import pytest
import torch

from mmtoken.life import LIFEProjection
from mmtoken.life.join_scales import join_scales
from mmtoken.tokens import Tokens


def scales(count, num_aux, channels=2):
    """Scale 1, and auxiliary tokens and patches of each further one."""
    torch.manual_seed(0)
    lengths = [num_aux + 6, *[num_aux, 6] * (count - 1)]
    return [
        torch.randn(2, length, 3 * channels, dtype=torch.double, requires_grad=True)
        for length in lengths
    ]


@pytest.mark.parametrize('count', [1, 2, 4])
@pytest.mark.parametrize('num_aux', [0, 1, 2])
def test_thirds_stand_side_by_side_and_gradients_find_back(count, num_aux):
    first, *further = parts = scales(count, num_aux)

    joined = join_scales(first, *further)

    pairs = zip(further[::2], further[1::2], strict=True)
    whole = [first, *(torch.cat(pair, dim=1) for pair in pairs)]
    expected = [
        torch.cat(thirds, dim=-1)
        for thirds in zip(*(scale.chunk(3, dim=-1) for scale in whole), strict=True)
    ]
    for ours, theirs in zip(joined, expected, strict=True):
        assert torch.equal(ours, theirs)
    weights = [torch.randn_like(out) for out in joined]
    found, wanted = (torch.autograd.grad(outs, parts, weights) for outs in (joined, expected))
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


def test_first_and_second_gradients_agree_with_finite_differences():
    parts = scales(2, 1, channels=1)

    assert torch.autograd.gradcheck(join_scales, parts)
    assert torch.autograd.gradgradcheck(join_scales, parts)


@pytest.mark.parametrize('aux_key', ['cascaded', 'first'])
def test_a_traced_graph_computes_the_same(aux_key):
    class Project(LIFEProjection):
        def forward(self, x):
            return super().forward(Tokens(x, (3, 4), 1))

    project, other = Project(18, aux_key=aux_key), torch.randn(2, 1 + 12, 18)

    traced = torch.jit.trace(project, torch.randn(2, 1 + 12, 18))

    for ours, theirs in zip(traced(other), project(other), strict=True):
        torch.testing.assert_close(ours, theirs)
