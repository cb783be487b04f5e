"""Options of `TokenViT` that must not be ignored."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


def small(kind: str = 'TokenViT', **options) -> TokenViT:
    torch.manual_seed(0)
    options = {'arch': ARCH, 'img_size': 16, 'patch_size': 4, **options}
    return MODELS.build(dict(type=kind, **options)).eval()


def is_global(model: TokenViT, layer: int) -> bool:
    """Whether the first patch of a layer's output depends on the last patch of its input."""
    tokens = model.embed(torch.randn(1, 3, 16, 16))
    x = tokens.x.detach().requires_grad_()
    model.layers[layer](tokens.with_(x=x)).patches[0, 0].sum().backward()
    return bool(x.grad[0, -1].any())


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(window_size=2), [False, False, False]),
        (dict(window_size=2, global_attn_indexes=(1,)), [False, True, False]),
        (dict(window_size=2, global_attn_indexes=(0, -1)), [True, False, True]),
        (dict(window_size=4), [True, True, True]),
        (dict(), [True, True, True]),
    ],
)
def test_layers_are_windowed_but_for_those_named(options, expected):
    model = small(**options)

    assert [is_global(model, layer) for layer in range(3)] == expected


@pytest.mark.parametrize('kind', ['TokenViT', 'LIFEViT'])
@pytest.mark.parametrize('qkv_bias', [True, False])
def test_qkv_bias_decides_whether_every_projection_has_a_bias(kind, qkv_bias):
    model = small(kind, qkv_bias=qkv_bias)

    biased = [any(n.endswith('bias') for n, _ in layer.attn.qkv.named_parameters())
              for layer in model.layers]  # fmt: skip
    assert biased == [qkv_bias] * 3


@pytest.mark.parametrize('in_channels', [1, 5])
def test_images_have_in_channels(in_channels):
    model = small(in_channels=in_channels)

    (out,) = model(torch.randn(2, in_channels, 16, 16))

    assert out.shape == (2, 24)


def test_layers_may_be_numbers_of_numpy():
    model = small(out_indices=list(np.array([0, -1])), out_type='featmap')

    assert len(model(torch.zeros(1, 3, 16, 16))) == 2


def test_windows_may_be_numbers_of_numpy():
    image = torch.rand(1, 3, 16, 16)

    (out,) = small(window_size=np.int64(2))(image)

    assert torch.equal(out, small(window_size=2)(image)[0])
