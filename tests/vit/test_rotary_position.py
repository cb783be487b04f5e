"""Rotary positions, against the rotation of complex numbers that they stand for."""

import math

import pytest
import torch
from torch import nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit import RotaryPosition, TokenAttention, TokenViT

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
CONVENTIONS = [
    dict(),
    dict(base=1e4, reference=(4, 6), pairs='interleaved', learned=True),
]


def turned(t: torch.Tensor, place: tuple[float, float], base: float, interleaved: bool):
    """A head's vector, (d,), turned pair by pair: the first half by row, the other by column."""
    half = t.numel() // 2
    pairs = t.view(half, 2) if interleaved else t.view(2, half).T
    count = half // 2
    angles = [place[i // count] * base ** (-(i % count) / count) for i in range(half)]
    made = [complex(*pair) * complex(math.cos(a), math.sin(a))
            for pair, a in zip(pairs.tolist(), angles, strict=True)]  # fmt: skip
    back = torch.tensor([[z.real, z.imag] for z in made])
    return back.flatten() if interleaved else back.T.flatten()


def tokens(grid: tuple[int, int], num_aux: int = 1, channels: int = 24) -> Tokens:
    """Random tokens."""
    torch.manual_seed(0)
    return Tokens(torch.randn(2, num_aux + grid[0] * grid[1], channels), grid, num_aux)


@pytest.mark.parametrize('options', CONVENTIONS, ids=['DINOv3', 'EVA-02'])
def test_every_pair_of_channels_is_turned_by_its_patch(options):
    rotary, (height, width) = RotaryPosition(8, **options), (2, 3)
    q = torch.randn(1, 1, 1 + height * width, 8, generator=torch.Generator().manual_seed(0))
    reference = options.get('reference')

    found, _ = rotary(q, q, tokens((height, width)))

    for row in range(height):
        for column in range(width):
            if reference:
                place = row / height * reference[0], column / width * reference[1]
            else:
                place = tuple(2 * math.pi * (2 * (i + 0.5) / side - 1)
                              for i, side in ((row, height), (column, width)))  # fmt: skip
            patch = 1 + row * width + column
            expected = turned(q[0, 0, patch], place, rotary.base, rotary.interleaved)
            torch.testing.assert_close(found[0, 0, patch], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('options', CONVENTIONS, ids=['DINOv3', 'EVA-02'])
def test_auxiliary_tokens_stay_as_they_are(options):
    q = torch.randn(1, 1, 2 + 12, 8)

    turned_q, turned_k = RotaryPosition(8, **options)(q, 2 * q, tokens((3, 4), num_aux=2))

    assert torch.equal(turned_q[..., :2, :], q[..., :2, :])
    assert torch.equal(turned_k[..., :2, :], 2 * q[..., :2, :])
    assert not torch.equal(turned_q[..., 2:, :], q[..., 2:, :])


@pytest.mark.parametrize('options', CONVENTIONS, ids=['DINOv3', 'EVA-02'])
def test_scores_depend_on_how_patches_stand_to_each_other(options):
    rotary, (height, width) = RotaryPosition(8, **options), (4, 5)
    same = torch.randn(1, 1, 1, 8).expand(1, 1, height * width, 8)

    q, k = rotary(same, same.flip(-1), tokens((height, width), num_aux=0))
    scores = (q @ k.mT).view(height, width, height, width)

    torch.testing.assert_close(scores[:-1, :-1, :-1, :-1], scores[1:, 1:, 1:, 1:])
    assert not torch.allclose(scores[0, 0, 0], scores[0, 0, 1])


def test_tables_are_made_once_for_all_layers_and_again_for_another_grid(monkeypatch):
    made, make = [], RotaryPosition._make
    monkeypatch.setattr(RotaryPosition, '_make', lambda *a: made.append(a[1]) or make(*a))
    backbone = TokenViT(ARCH, 32, 8, position=dict(type='RotaryPosition'))

    for size in (32, 32, 40):
        backbone(torch.randn(1, 3, size, 32))

    assert made == [(4, 4), (5, 4)]


def test_it_trains_after_inference():
    backbone = TokenViT(ARCH, 32, 8, position=dict(type='RotaryPosition'))
    with torch.inference_mode():
        backbone(torch.randn(1, 3, 32, 32))

    backbone(torch.randn(1, 3, 32, 32))[0].sum().backward()

    assert backbone.layers[0].attn.qkv.weight.grad is not None


def test_it_takes_the_place_of_an_embedding_unless_one_is_learned_besides():
    plain, both = (
        TokenViT(ARCH, 32, 8, position=dict(type='RotaryPosition', learned=learned))
        for learned in (False, True)
    )

    assert plain.pos_embed is None
    assert both.pos_embed.shape == (1, 17, 24)
    assert both.state_dict().keys() - plain.state_dict().keys() == {'pos_embed'}


@pytest.mark.parametrize('learned', [False, True])
def test_frozen_stages_freeze_the_embedding_and_its_norm(learned):
    position = dict(type='RotaryPosition', learned=learned)
    backbone = TokenViT(ARCH, 32, 8, position=position, pre_norm=True, frozen_stages=1).train()

    first = [backbone.patch_embed, backbone.pre_norm, backbone.layers[0]]
    assert not any(p.requires_grad for part in first for p in part.parameters())
    assert not any(part.training for part in first)
    assert all(p.requires_grad for p in backbone.layers[1].parameters())


def test_heads_are_normed_before_they_are_turned():
    attention = TokenAttention(24, 3, {}, qk_norm=True, rotary=RotaryPosition(8)).eval()
    nn.init.normal_(attention.q_norm.weight)
    nn.init.normal_(attention.k_norm.bias)
    given = tokens((3, 4))
    q, k, v = (t.unflatten(-1, (3, 8)).transpose(1, 2) for t in attention.qkv(given))
    q, k = attention.turn(attention.q_norm(q), attention.k_norm(k), given)
    mixed = torch.softmax(q @ k.mT / 8**0.5, dim=-1) @ v

    expected = attention.proj(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(given).x, expected)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(position='rotary'), "position 'rotary' is unknown; use one of .*RotaryPosition"),
        (dict(position=dict(type='RotaryPosition', pairs='odd')), "pairs 'odd' is unknown"),
        (dict(position=dict(base=0)), 'base 0 is not a number above 0'),
        (dict(position=dict(reference=0)), 'reference 0 is not a whole number'),
        (dict(position=dict(head_dims=8)), 'position has head_dims, which the backbone sets'),
        (dict(position={}, arch=dict(ARCH, num_heads=4)), 'heads of 6 channels .* multiple of 4'),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        TokenViT(**{'arch': ARCH, 'img_size': 32, 'patch_size': 8, **options})
