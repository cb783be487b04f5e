"""Roll-outs of CAT: back through windows, between them, through padding and mergings."""

import pytest
import torch
from explicit_attention import layers_of
from explicit_cat import explicit_trace, real_matrix
from live_bytes import peak_of
from small_cat import build_cat, images

from mmtoken.cat import CrossPatchAttention
from mmtoken.rollout import explicit_matrix, roll_back
from mmtoken.rollout.capture import Step
from mmtoken.rollout.explicit import roll_back_explicitly
from mmtoken.tokens import Tokens

SIZES = [(64, 64), (50, 86)]


def run(size):
    """What ran on one image, attention far from uniform."""
    backbone = build_cat(pad_small_map=True)
    image = images(*size, batch=1)
    with torch.no_grad():
        return backbone, image, [Step(*found) for found in layers_of(backbone, image)]


@pytest.mark.parametrize('size', SIZES)
def test_rolling_back_is_the_product_of_all_matrices(size):
    backbone, image, steps = run(size)
    first, last = steps[0].tokens.x.shape[1], steps[-1].tokens.x.shape[1]
    weights = torch.rand(3, last, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = weights @ explicit_trace(backbone, image, torch.eye(first)[None])[0]

    for found in (roll_back(steps, weights), roll_back_explicitly(steps, weights, 'mean', 0.0)):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('grid', [(8, 12), (6, 9)])
@pytest.mark.parametrize('options', [{}, dict(qk_scale=0.7)])
def test_heads_are_the_attention_of_every_channel(grid, options):
    mixer = build_cat(pad_small_map=True, **options).layers[1].attn
    x = torch.randn(1, grid[0] * grid[1], 12, generator=torch.Generator().manual_seed(5))

    heads = mixer.heads(Tokens(x, grid, 0))

    assert heads.shape == (12, grid[0] * grid[1], grid[0] * grid[1])
    for channel in (0, 7):
        own = heads[channel] / heads[channel].sum(dim=-1, keepdim=True)
        alone = x[..., channel : channel + 1]
        torch.testing.assert_close(own, real_matrix(mixer, alone, grid)[0], atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('fusion', ['min', 'max'])
@pytest.mark.parametrize('size', SIZES)
def test_other_fusions_are_of_the_single_channels(fusion, size):
    step = run(size)[2][1]
    heads = step.layer.attn.heads(step.layer.entering(step.tokens))
    fused = heads.amin(0) if fusion == 'min' else heads.amax(0)
    fused = fused / fused.sum(dim=1, keepdim=True)

    expected = (fused + torch.eye(len(fused))) / 2
    torch.testing.assert_close(explicit_matrix(step, fusion), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('grid', [(16, 16), (15, 13)])
def test_many_sets_are_rolled_back_in_the_memory_of_a_few_of_their_maps(grid):
    channels, sets = 96, torch.rand(1, grid[0] * grid[1], 64)
    tokens = Tokens(torch.randn(1, grid[0] * grid[1], channels), grid, 0, sets)
    mixer = CrossPatchAttention(4)

    # Beside the values of every channel they would be there once for each.
    assert peak_of(lambda: mixer(tokens)) < channels / 4 * sets.nbytes
