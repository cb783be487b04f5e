"""With the same weights T2T-ViT computes what mmpretrain's `T2T_ViT` does, its two faults mended.

mmpretrain (1.2.0 and onedl 1.3.6) hands its attention a scale of d^-0.5 to divide by, so that its
T2T_ViT multiplies scores by √d in every layer, and has the width of heads in the layers of the stem
too, where the released code has the width that comes. Nor has it a performer; that one is the
formula written out.
"""

from functools import partial
from math import sqrt

import pytest
import torch
from mmpretrain.models.backbones.t2t_vit import T2T_ViT, get_sinusoid_encoding
from mmpretrain.models.utils.attention import scaled_dot_product_attention_pyimpl
from torch import Tensor, nn

from mmtoken.t2t import T2TViT
from mmtoken.vit.position import sinusoidal_position

CHANNELS, LAYERS, HEADS, HIDDEN = 48, 3, 4, 96
ARCH = dict(embed_dims=CHANNELS, num_layers=LAYERS, num_heads=HEADS, feedforward_channels=HIDDEN)
PLACES = {
    'tokens_to_token.project.': 'patch_embed.projection.',
    'tokens_to_token.': 'patch_embed.',
    'encoder.': 'layers.',
    'norm.': 'ln1.',
}


class Performer(nn.Module):
    """The released performer's attention by its formula, with the N×N kernel."""

    def __init__(self, in_dims: int, dims: int = 64) -> None:
        super().__init__()
        self.kqv, self.proj = nn.Linear(in_dims, 3 * dims), nn.Linear(dims, dims)
        w = nn.init.orthogonal_(torch.empty(dims // 2, dims))
        self.register_buffer('w', w * sqrt(dims // 2))

    def forward(self, x: Tensor) -> Tensor:
        k, q, v = self.kqv(x).split(64, dim=-1)
        q, k = (
            torch.exp(z @ self.w.T - (z * z).sum(-1, keepdim=True) / 2) / sqrt(32) for z in (q, k)
        )
        kernel = q @ k.transpose(1, 2)
        return v + self.proj(kernel @ v / (kernel.sum(-1, keepdim=True) + 1e-8))


def attention(width: int) -> partial:
    """Their own attention, whose `scale` is what it divides by."""
    return partial(scaled_dot_product_attention_pyimpl, scale=sqrt(width))


def build_theirs(kind: str, size: int) -> T2T_ViT:
    torch.manual_seed(0)
    model = T2T_ViT(
        img_size=size,
        embed_dims=CHANNELS,
        num_layers=LAYERS,
        layer_cfgs=dict(num_heads=HEADS, feedforward_channels=HIDDEN),
        out_type='raw',
    )
    stem = model.tokens_to_token
    for layer in (stem.attention1, stem.attention2):
        layer.attn.scaled_dot_product_attention = attention(layer.attn.input_dims)
        if kind == 'performer':
            layer.attn = Performer(layer.attn.input_dims)
    for layer in model.encoder:
        layer.attn.scaled_dot_product_attention = attention(layer.attn.head_dims)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    model.eval()
    return model


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights under our names."""
    out = {}
    for name, value in state.items():
        place = next((place for place in PLACES if name.startswith(place)), '')
        out[PLACES.get(place, '') + name.removeprefix(place)] = value
    return out


@pytest.mark.parametrize('kind', ['performer', 'transformer'])
@pytest.mark.parametrize('size', [(64, 64), (96, 48)])
def test_all_tokens_agree(kind, size):
    theirs = build_theirs(kind, 64)
    ours = T2TViT(ARCH, 64, stem=dict(token_layer=kind), out_type='raw').eval()
    ours.load_state_dict(renamed(theirs.state_dict()), strict=True)
    images = torch.randn(2, 3, *size)

    with torch.no_grad():
        expected, found = theirs(images), ours(images)

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('count', 'channels'), [(197, 256), (197, 252), (17, 255)])
def test_positions_agree(count, channels):
    found = sinusoidal_position(count, channels)

    expected = get_sinusoid_encoding(count, channels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
