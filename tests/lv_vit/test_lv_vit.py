"""LV-ViT's sizes, weights and parts."""

from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmtoken.convert import convert_state_dict, fold_residual_scale
from mmtoken.errors import UserError

KEYS = Path(__file__).resolve().parents[1] / 'data' / 'references' / 'lv_vit_s_keys.txt'
MATH = SDPBackend.MATH
SMALL = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=72)


def build(**options):
    return MODELS.build(dict(type='LVViT', **options))


# Million parameters of the released code with the head and without the auxiliary head.
@pytest.mark.parametrize(
    ('arch', 'size', 'millions'),
    [
        ('tiny', 224, 8.29),
        ('small', 224, 25.77),
        ('small', 384, 25.91),
        ('medium', 224, 55.32),
        ('medium', 448, 55.62),
        ('large', 288, 149.35),
        ('large', 512, 149.89),
    ],
)
def test_sizes_are_those_of_the_released_code(arch, size, millions):
    with torch.device('meta'):
        backbone = build(arch=arch, img_size=size)

    head = 1000 * backbone.embed_dims + 1000
    count = sum(p.numel() for p in backbone.parameters()) + head
    assert count / 1e6 == pytest.approx(millions, abs=0.005)


def test_released_key_list_covers_the_classifier_exactly():
    lines = [line.split('\t') for line in KEYS.read_text().splitlines()]
    dtypes = {'torch.float32': torch.float32, 'torch.int64': torch.int64}
    with torch.device('meta'):
        state = {
            name: torch.empty([int(n) for n in shape.strip('()').split(',') if n.strip()],
                              dtype=dtypes[dtype])
            for name, shape, dtype in lines
        }  # fmt: skip
        model = MODELS.build(
            dict(
                type='TokenLabelClassifier',
                backbone=dict(type='LVViT', out_type='raw'),
                head=dict(type='TokenLabelHead', num_classes=1000, in_channels=384),
            )
        )

    converted = convert_state_dict(state, 'lv-vit')

    own = model.state_dict()
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in own.items()}


@pytest.mark.parametrize('place', ['state_dict', 'state_dict_ema'])
def test_released_files_are_taken_as_they_are(place):
    checkpoint = {place: {'module.patch_embed.proj.bias': torch.zeros(3)}, 'epoch': 300}

    assert list(convert_state_dict(checkpoint, 'lv-vit')) == [
        'backbone.patch_embed.projection.bias'
    ]


@pytest.mark.parametrize(
    ('arch', 'scale', 'width'), [('tiny', 1, 64), ('medium', 2, 64), ('large', 3, 128)]
)
def test_presets_bring_their_scale_and_stem(arch, scale, width):
    with torch.device('meta'):
        backbone = build(arch=arch)

    assert {layer.residual_scale for layer in backbone.layers} == {scale}
    assert backbone.patch_embed.conv1.out_channels == width
    assert backbone.layers[0].attn.qkv.bias is None


def test_options_replace_what_a_preset_brings():
    with torch.device('meta'):
        backbone = build(
            arch='large', residual_scale=1.5, stem=dict(stem_channels=32), qkv_bias=True
        )

    assert backbone.layers[0].residual_scale == 1.5
    assert backbone.patch_embed.conv1.out_channels == 32
    assert backbone.layers[0].attn.qkv.bias is not None


def test_a_plain_vit_takes_the_stem():
    torch.manual_seed(0)
    backbone = MODELS.build(
        dict(type='TokenViT', arch=SMALL, img_size=32, patch_size=8,
             stem=dict(type='ConvStem', stem_channels=8), out_type='featmap')
    )  # fmt: skip

    (out,) = backbone(torch.randn(2, 3, 30, 41))

    assert out.shape == (2, 24, 4, 6)


def test_branches_are_divided_by_the_residual_scale():
    torch.manual_seed(0)
    backbone = build(arch=SMALL, img_size=32, patch_size=8, residual_scale=4.0).eval()
    layer, tokens = backbone.layers[0], backbone.embed(torch.randn(1, 3, 32, 32))

    attended = layer.attn(tokens.with_(x=layer.ln1(tokens.x)))
    x = tokens.x + attended.x / 4
    expected = x + layer.ffn(layer.ln2(x)) / 4

    torch.testing.assert_close(layer(tokens).x, expected)


@pytest.mark.parametrize('arch', [{}, ''])
def test_an_empty_arch_is_refused_and_not_replaced(arch):
    with pytest.raises(UserError, match=r'^arch (has keys \[\]|\'\' is unknown)'):
        build(arch=arch)


def test_an_odd_patch_is_refused():
    with pytest.raises(UserError, match='patch_size 7 is odd, .* use 8, or the stem PatchStem'):
        build(arch=SMALL, img_size=28, patch_size=7)


@pytest.mark.parametrize('scale', [0, -1, 'two'])
def test_a_residual_scale_that_divides_by_nothing_is_refused(scale):
    with pytest.raises(UserError, match=f'residual_scale {scale!r} is not a number above 0'):
        build(arch=SMALL, img_size=32, residual_scale=scale)


def test_folding_what_has_no_blocks_is_refused():
    with pytest.raises(UserError, match='no weight of a … is of a block'):
        fold_residual_scale({'a': torch.zeros(1)}, 2)


# Billion multiply-accumulates of stem and blocks. The released code's counter, whose figures stand
# last, adds what is done to single numbers, about 10 for each attention weight and 45 for each
# channel of a token; ours counts products alone.
@pytest.mark.parametrize(
    ('arch', 'size', 'billions', 'released'),
    [
        ('tiny', 224, 2.821, 2.87),
        ('small', 224, 6.476, 6.57),
        ('small', 384, 21.675, 22.17),
        ('medium', 224, 12.577, 12.74),
        ('large', 288, 58.444, 59.04),
    ],
)
def test_multiply_accumulates_are_those_of_the_released_code(arch, size, billions, released):
    with torch.device('meta'), FlopCounterMode(display=False) as counter, sdpa_kernel(MATH):
        backbone = build(arch=arch, img_size=size)
        backbone(torch.randn(1, 3, size, size))

    counted, tokens = counter.get_total_flops() / 2e9, (size // 16) ** 2 + 1
    heads, layers = backbone.layers[0].attn.num_heads, backbone.num_layers
    weights = heads * tokens**2 * layers
    channels = tokens * backbone.embed_dims * layers
    assert counted == pytest.approx(billions, abs=0.001)
    assert counted + (10 * weights + 45 * channels) / 1e9 == pytest.approx(released, rel=0.003)
