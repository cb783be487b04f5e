"""Labels follow CAT's attention inside windows and between them, as its matrices say."""

import pytest
import torch
import torch.nn.functional as F
from explicit_cat import explicit_trace, real_matrix
from small_cat import build_cat, images

from mmtoken.tokens import Tokens

# Window and image: windows that fit all grids, none, and grids that are smaller and odd.
FITTING, PADDED, ODD = (64, 64), (56, 72), (50, 86)


def draw(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def case(size):
    backbone = build_cat(pad_small_map=True)
    image = images(*size)
    return backbone, image, backbone.embed(image).x.shape[1]


@torch.no_grad()
@pytest.mark.parametrize('grid', [(8, 12), (6, 9), (3, 5)])
@pytest.mark.parametrize('index', [0, 1])
def test_a_mixer_moves_a_trace_by_its_mean_attention(index, grid):
    mixer = build_cat(pad_small_map=True).layers[index].attn
    x, own = draw(2, grid[0] * grid[1], 12), draw(2, grid[0] * grid[1], 3)

    mixed = mixer(Tokens(x, grid, 0, own)).trace

    expected = 0.5 * (real_matrix(mixer, x, grid) @ own + own)
    torch.testing.assert_close(mixed, expected, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('options', [{}, dict(qk_scale=0.7)])
@pytest.mark.parametrize('size', [FITTING, PADDED, ODD])
def test_the_trace_is_the_product_of_all_matrices(size, options):
    backbone = build_cat(pad_small_map=True, **options)
    image = images(*size)
    own = draw(2, backbone.embed(image).x.shape[1], 2)

    _, trace = backbone(image, own)

    torch.testing.assert_close(trace, explicit_trace(backbone, image, own), atol=2e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('size', [FITTING, ODD])
def test_labels_keep_summing_to_one_and_are_those_of_one_number(size):
    """Carrying labels themselves gives what one number for each token gives."""
    backbone, image, count = case(size)
    own, classes = draw(2, count, 1), torch.eye(5)[[1, 3]]
    every = own * classes[:, None] + (1 - own) * classes.flip(0)[:, None]

    _, weights = backbone(image, own)
    _, labels = backbone(image, every)

    torch.testing.assert_close(labels.sum(dim=-1), torch.ones(labels.shape[:2]), atol=1e-6, rtol=0)
    expected = weights * classes[:, None] + (1 - weights) * classes.flip(0)[:, None]
    torch.testing.assert_close(labels, expected, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('size', [FITTING, ODD])
def test_what_is_the_same_everywhere_stays_it(size, autocast):
    backbone, image, count = case(size)
    levels = torch.tensor([1.0, 0.3]).expand(2, count, 2)

    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        _, trace = backbone(image, levels)

    torch.testing.assert_close(trace, levels[:, :1].expand_as(trace), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('gap', [8.0, 20.0, 400.0])
def test_labels_of_places_that_others_lack_stay_labels(gap, dtype):
    """Of a grid 8×6 the right windows have two columns, and here nearly all of the attention."""
    mixer = build_cat(pad_small_map=True).layers[1].attn
    mixer.qkv.weight.zero_(), mixer.qkv.bias.zero_()
    # Their features add up to 8, and those of the left ones to 16: scores are ±gap/2.
    key = (gap / 2 / 4) ** 0.5
    mixer.qkv.weight[16:32] = -key / 4
    mixer.qkv.bias[:16], mixer.qkv.bias[16:32] = key, 3 * key
    own = draw(2, 48, 1)

    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is torch.bfloat16):
        trace = mixer(Tokens(torch.ones(2, 48, 12), (8, 6), 0, own)).trace

    # (B, 2·4, 6) → (B, upper and lower window, rows, columns that only the left ones have)
    before, after = (t.view(2, 2, 4, 6)[..., 2:4] for t in (own, trace))
    left = before if gap > 100 else before.mean(dim=1, keepdim=True)
    torch.testing.assert_close(after, (before + left) / 2, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('size', [FITTING, ODD])
def test_features_are_not_touched_by_a_trace(size):
    backbone, image, count = case(size)

    (traced,), _ = backbone(image, draw(2, count, 1))

    torch.testing.assert_close(traced, backbone(image)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_trace_sees_the_attention_before_dropout():
    backbone, image, count = case(FITTING)
    dropping = build_cat(pad_small_map=True, attn_drop_rate=0.5).train()
    block, other = dropping.layers[1], backbone.layers[1]
    tokens = backbone.embed(image).with_(trace=draw(2, count, 1))

    found, expected = block(tokens), other(tokens)

    torch.testing.assert_close(found.trace, expected.trace, atol=1e-6, rtol=0)
    assert not torch.allclose(found.x, expected.x, atol=1e-3)


@torch.no_grad()
def test_one_window_has_none_to_exchange_labels_with():
    mixer = build_cat().layers[1].attn
    own = draw(2, 16, 1)

    trace = mixer(Tokens(draw(2, 16, 12), (4, 4), 0, own)).trace

    torch.testing.assert_close(trace, own, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('traced', [False, True])
def test_all_channels_share_one_fused_call(monkeypatch, traced):
    """The heads of which are the channels: no matrix between windows is formed."""
    shapes, fused = [], F.scaled_dot_product_attention

    def spy(q, *args, **kwargs):
        shapes.append(tuple(q.shape[:3]))
        return fused(q, *args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', spy)
    mixer = build_cat().layers[1].attn
    mixer(Tokens(draw(2, 96, 12), (8, 12), 0, draw(2, 96, 1) if traced else None))

    assert shapes == [(2, 12, 6)]


@pytest.mark.parametrize('grid', [(9, 6), (8, 5)])
def test_what_kernels_of_other_devices_get_is_the_same_function(monkeypatch, grid):
    """They want widths of 8, and a window of 3 has 9 places."""
    mixer = build_cat(window_size=3, pad_small_map=True).layers[1].attn
    tokens = Tokens(draw(2, grid[0] * grid[1], 12), grid, 0, draw(2, grid[0] * grid[1], 2))
    expected = mixer(tokens)
    monkeypatch.setattr(type(mixer), '_multiple', staticmethod(lambda x: 8))
    assert {t.shape for t in mixer._project(tokens)} == {(2, 12, 6, 16)}

    found = mixer(tokens)

    torch.testing.assert_close(found.x, expected.x, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.trace, expected.trace, atol=1e-6, rtol=0)


def test_widths_are_filled_up_on_other_devices_alone():
    mixer = build_cat().layers[1].attn
    assert mixer._multiple(torch.zeros(1)) == 1
    assert mixer._multiple(torch.zeros(1, device='meta')) == 8
