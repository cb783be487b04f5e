"""The trace equals the explicit product of ½(Ā + I) over the layers; windows equal full attention
under a mask.
"""

import pytest
import torch
from explicit_attention import explicit_attention, explicit_trace

from mmtoken.errors import UserError
from mmtoken.life import LIFEViT
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention, TokenViT, traced_attention

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


@pytest.mark.parametrize('cls', [TokenViT, LIFEViT])
@pytest.mark.parametrize('num_aux', [0, 1, 2])
@pytest.mark.parametrize('window', [0, 3])
@pytest.mark.parametrize('channels', [1, 5])
@pytest.mark.parametrize('pool_before', [(), (1, 2)])
def test_trace_is_the_explicit_product(cls, num_aux, window, channels, pool_before):
    torch.manual_seed(0)
    backbone = cls(
        ARCH,
        (20, 28),
        4,
        num_aux_tokens=num_aux,
        out_type='raw',
        window_size=window,
        global_attn_indexes=(1,),
        pool_before=pool_before,
    ).eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image, trace = torch.randn(2, 3, 20, 28), torch.rand(2, num_aux + 35, channels)

    with torch.no_grad():
        features, mixed = backbone(image, trace=trace)

        torch.testing.assert_close(mixed, explicit_trace(backbone, image, trace), rtol=0, atol=1e-6)
        torch.testing.assert_close(features, backbone(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize('cls', [TokenViT, LIFEViT])
@pytest.mark.parametrize('window', [0, 3])
def test_trace_follows_heads_that_are_normed_and_turned(cls, window):
    torch.manual_seed(0)
    position = dict(type='RotaryPosition', learned=True)
    backbone = cls(ARCH, (20, 28), 4, qk_norm=True, position=position, window_size=window).eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image, trace = torch.randn(2, 3, 20, 28), torch.rand(2, 36, 5)

    with torch.no_grad():
        _, mixed = backbone(image, trace=trace)

        torch.testing.assert_close(mixed, explicit_trace(backbone, image, trace), rtol=0, atol=1e-6)


@pytest.mark.parametrize('grid', [(6, 6), (5, 7), (2, 9)])
@pytest.mark.parametrize('num_aux', [0, 2])
def test_windows_are_full_attention_under_a_block_mask(grid, num_aux):
    torch.manual_seed(0)
    attention = TokenAttention(24, 3, dict(type='LinearProjection'), window_size=3)
    tokens = Tokens(torch.randn(2, num_aux + grid[0] * grid[1], 24), grid, num_aux)

    out = attention(tokens).x

    v = attention.qkv(tokens)[2].unflatten(-1, (3, -1)).transpose(1, 2)
    expected = attention.proj(
        (explicit_attention(attention, tokens) @ v).transpose(1, 2).flatten(2)
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)


def test_gradient_of_the_trace_is_the_transposed_rollout():
    torch.manual_seed(0)
    backbone = TokenViT(ARCH, 16, 4, out_type='raw').eval()
    image, trace = torch.randn(1, 3, 16, 16), torch.zeros(1, 17, 1, requires_grad=True)

    backbone(image, trace=trace)[1][0, 0].sum().backward()

    identity = torch.eye(17).unsqueeze(0)
    torch.testing.assert_close(
        trace.grad[0, :, 0], explicit_trace(backbone, image, identity)[0, 0], rtol=0, atol=1e-6
    )


def test_rows_of_the_rollout_sum_to_one():
    backbone = LIFEViT(ARCH, 16, 4, out_type='raw', num_aux_tokens=2)

    _, mixed = backbone(torch.randn(1, 3, 16, 16), trace=torch.ones(1, 18, 1))

    torch.testing.assert_close(mixed, torch.ones(1, 18, 1))


@pytest.mark.parametrize('masked', [False, True])
def test_dropout_is_that_of_the_values_and_the_trace_sees_attention_before_it(masked):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8)
    trace = torch.rand(2, 7, 2)
    mask = torch.arange(7).view(1, 1, 1, 7) < 5 if masked else None

    torch.manual_seed(1)
    out, mixed = traced_attention(q, k, v, trace, mask, dropout=0.5)

    torch.manual_seed(1)
    torch.testing.assert_close(out, traced_attention(q, k, v, None, mask, dropout=0.5)[0])
    torch.testing.assert_close(mixed, traced_attention(q, k, v, trace, mask)[1])


@pytest.mark.parametrize('window', [0, 2, 3])
def test_an_exact_trace_keeps_its_precision_beside_coarser_features(window):
    torch.manual_seed(0)
    attention = TokenAttention(24, 3, dict(type='LinearProjection'), window_size=window)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 17, 24)
    # The second channel is a millionth of the first.
    trace = torch.rand(2, 17, 2) * torch.tensor([1.0, 1e-6])
    tokens = Tokens(x, (4, 4), 1, trace, exact_trace=True)

    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        attended = attention(tokens)
        out, exact = attended.x, attended.trace
        plain = attention(tokens.with_(trace=None)).x
        q, k, _ = attention.qkv(tokens)

    heads = [t.float().unflatten(-1, (3, -1)).transpose(1, 2) for t in (q, k)]
    scores = heads[0] @ heads[1].transpose(-2, -1) / 8**0.5
    if window:
        place = torch.arange(16)
        block = place // 4 // window * 2 + place % 4 // window
        scores[:, :, 1:, 1:].masked_fill_(block[:, None] != block, -torch.inf)
    expected = (scores.softmax(-1).mean(1) @ trace + trace) / 2
    torch.testing.assert_close(exact, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(out, plain)


def test_the_trace_does_not_change_the_attended_values():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8)

    traced, _ = traced_attention(q, k, v, torch.rand(2, 7, 2))

    plain, _ = traced_attention(q, k, v)
    torch.testing.assert_close(traced, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize(('start', 'skipped'), [(0, 0), (2, 2), (-1, 2)])
def test_a_trace_may_start_at_a_later_layer(start, skipped):
    torch.manual_seed(0)
    backbone = TokenViT(ARCH, 16, 4, out_type='raw').eval()
    image, trace = torch.randn(1, 3, 16, 16), torch.rand(1, 17, 1)

    with torch.no_grad():
        features, mixed = backbone(image, trace, start)

        tokens = backbone.embed(image)
        for layer in backbone.layers[:skipped]:
            tokens = layer(tokens)
        tokens = tokens.with_(trace=trace)
        for layer in backbone.layers[skipped:]:
            tokens = layer(tokens)
    assert torch.equal(mixed, tokens.trace)
    torch.testing.assert_close(features, backbone(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize('start', [2, -3])
def test_a_trace_that_starts_at_no_layer_is_refused(start):
    backbone = TokenViT(ARCH, 16, 4, out_indices=1)

    with pytest.raises(UserError, match=rf'trace_from {start} is not .* use -2\.\.1'):
        backbone(torch.randn(1, 3, 16, 16), torch.rand(1, 17, 1), start)


def test_a_traced_backbone_compiles_without_graph_breaks():
    torch._dynamo.reset()
    torch.manual_seed(0)
    backbone = TokenViT(ARCH, 16, 4)
    image, trace = torch.randn(2, 3, 16, 16), torch.rand(2, 17, 1)

    compiled = torch.compile(backbone, backend='eager', fullgraph=True)

    torch.testing.assert_close(compiled(image, trace), backbone(image, trace))
