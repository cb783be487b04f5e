"""A layer that shares uses the map of the layer before it, and makes values alone."""

import pytest
import torch
from explicit_attention import explicit_attention

from mmtoken.errors import UserError
from mmtoken.life import LIFEProjection
from mmtoken.vit import TokenAttention, TokenViT, attention_map

ARCH = dict(embed_dims=24, num_layers=5, num_heads=3, feedforward_channels=48)
PATTERN = 'FSSFS'
VARIANTS = {
    'global': {},
    'no aux': dict(num_aux_tokens=0, out_type='avg_featmap'),
    'windows': dict(window_size=3, global_attn_indexes=(3, 4)),
    'windows, no aux': dict(window_size=3, num_aux_tokens=0, out_type='avg_featmap'),
    'LIFE': dict(projection=dict(type='LIFEProjection')),
    'pooled': dict(pool_before=(3,)),
}


@pytest.fixture(params=VARIANTS)
def backbone(request):
    torch.manual_seed(0)
    built = TokenViT(ARCH, 32, 4, pattern=PATTERN, **VARIANTS[request.param]).eval()
    for parameter in built.layers.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return built


@pytest.fixture(params=['kept', 'formed again'])
def keeping(request, monkeypatch):
    monkeypatch.setitem(attention_map.KEPT_KEYS, 'cpu', 512 if request.param == 'kept' else 0)


def explicitly(backbone, images, trace):
    """Tokens and trace after each layer, by full matrices that are handed on."""
    tokens, trace, outs = backbone.embed(images), trace, []
    for index, layer in enumerate(backbone.layers):
        if str(index) in backbone.pools:
            pooled = backbone.pools[str(index)](tokens.with_(trace=trace))
            tokens, trace = pooled.with_(trace=None), pooled.trace
        normed = tokens.with_(x=layer.ln1(tokens.x))
        if PATTERN[index] == 'F':
            attention = explicit_attention(layer.attn, normed)
            values = layer.attn.qkv(normed)[2]
        else:
            values = layer.attn.value(normed)
        heads = values.unflatten(-1, (3, -1)).transpose(1, 2)
        x = tokens.x + layer.attn.proj((attention @ heads).transpose(1, 2).flatten(2))
        tokens = tokens.with_(x=x + layer.ffn(layer.ln2(x)))
        trace = (attention.mean(1) @ trace + trace) / 2
        outs.append((tokens.x, trace))
    return outs


def test_it_is_the_same_matrix(backbone, keeping):
    images = torch.randn(2, 3, 28, 32)
    tokens = backbone.embed(images)
    trace = torch.rand(2, tokens.x.shape[1], 2)

    with torch.no_grad():
        expected = explicitly(backbone, images, trace)
        for traced in (True, False):
            tokens = backbone.embed(images).start_trace(trace if traced else None, exact=False)
            for index, layer in enumerate(backbone.layers):
                if str(index) in backbone.pools:
                    tokens = backbone.pools[str(index)](tokens)
                tokens = layer(tokens)
                torch.testing.assert_close(tokens.x, expected[index][0], rtol=1e-4, atol=1e-4)
                if traced:
                    torch.testing.assert_close(tokens.trace, expected[index][1])


def test_gradients_are_those_of_a_map_that_is_formed_again(backbone, monkeypatch):
    found = []
    for kept in (512, 0):
        monkeypatch.setitem(attention_map.KEPT_KEYS, 'cpu', kept)
        backbone.zero_grad()
        backbone(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))[
            0
        ].square().sum().backward()
        found.append({n: p.grad for n, p in backbone.named_parameters()})

    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-3, atol=1e-4, msg=name)
    assert all(gradient.abs().sum() > 0 for gradient in found[0].values())


def test_sharing_layers_have_neither_queries_nor_keys():
    plain, shared = TokenViT('deit-tiny'), TokenViT('deit-tiny', pattern='FS' * 6)

    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(plain) - count(shared) == 6 * 2 * (192 * 192 + 192)
    assert not hasattr(shared.layers[1].attn, 'qkv')


def test_life_builds_its_values_alone():
    projection = LIFEProjection(24, values_only=True)

    shapes = {name: tuple(p.shape) for name, p in projection.named_parameters()}

    assert shapes['linear.weight'] == (8, 24)
    assert shapes['depthwise.1.weight'] == (8, 1, 5, 5)
    assert shapes['pointwise.0.weight'] == (8, 8, 1, 1)


def test_no_layer_hands_on_a_map_that_none_uses():
    backbone = TokenViT(ARCH, 32, 4, pattern=PATTERN).eval()
    tokens, handed = backbone.embed(torch.randn(1, 3, 32, 32)), []

    for layer in backbone.layers:
        tokens = layer(tokens)
        handed.append(tokens.shared is not None)

    assert handed == [True, True, False, True, False]


def test_no_map_is_kept_for_a_layer_that_does_not_run():
    backbone = TokenViT(ARCH, 32, 4, pattern=PATTERN, out_indices=1)

    assert [layer.attn.passes_on for layer in backbone.layers] == [True, *[False] * 4]


def test_each_use_of_a_map_drops_weights_of_its_own():
    torch.manual_seed(0)
    backbone = TokenViT(ARCH, 32, 4, pattern='FSFFF', attn_drop_rate=0.5).train()
    tokens = backbone.layers[0](backbone.embed(torch.randn(1, 3, 32, 32)))

    with torch.no_grad():
        first, second = (backbone.layers[1](tokens).x for _ in range(2))
        backbone.eval()
        third, fourth = (backbone.layers[1](tokens).x for _ in range(2))

    assert not torch.equal(first, second)
    assert torch.equal(third, fourth)


def test_without_a_map_a_sharing_layer_says_what_it_lacks():
    backbone = TokenViT(ARCH, 32, 4, pattern=PATTERN)

    with pytest.raises(UserError, match='shares a map got tokens without one'):
        backbone.layers[1](backbone.embed(torch.randn(1, 3, 32, 32)))


def test_a_projection_that_cannot_make_values_alone_is_named():
    class Other(torch.nn.Linear):
        def __init__(self, embed_dims, bias):
            super().__init__(embed_dims, 3 * embed_dims, bias)

    assert TokenAttention(24, 3, dict(type=Other)).qkv is not None
    with pytest.raises(UserError, match='Other cannot make values alone'):
        TokenAttention(24, 3, dict(type=Other), shares=True)


def test_values_only_is_not_the_configs_to_say():
    with pytest.raises(UserError, match='projection has values_only'):
        TokenViT(ARCH, 32, 4, projection=dict(values_only=True))
