"""The stem of soft splits: its formulas written out, its grids, its memory, its errors."""

from math import sqrt

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmtoken.errors import UserError
from mmtoken.t2t import PerformerAttention, SoftmaxAttention, T2TStem
from mmtoken.t2t.t2t_stem import soft_split

KINDS = ('performer', 'transformer')


def build(token_layer: str = 'performer', **options) -> T2TStem:
    """A stem whose attention is far from uniform, in evaluation mode."""
    torch.manual_seed(0)
    stem = T2TStem(3, 24, token_layer=token_layer, **{'token_dims': 16, **options})
    for parameter in stem.parameters():
        nn.init.normal_(parameter, std=0.2)
    return stem.eval()


def images(height: int = 48, width: int = 48, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def tokens(count: int = 30, channels: int = 12) -> Tensor:
    return torch.randn(2, count, channels, generator=torch.Generator().manual_seed(2))


def explicit_split(maps: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """A soft split by cutting one square after the other."""
    padded = F.pad(maps, (padding,) * 4)
    tops = range(0, padded.shape[2] - side + 1, stride)
    lefts = range(0, padded.shape[3] - side + 1, stride)
    squares = [padded[:, :, t : t + side, x : x + side].flatten(1) for t in tops for x in lefts]
    return torch.stack(squares, dim=1)


def explicit_attention(attention: nn.Module, x: Tensor) -> Tensor:
    """What an attention makes of tokens, by the full N×N matrix."""
    if isinstance(attention, SoftmaxAttention):
        q, k, v = F.linear(x, attention.qkv.weight).split(attention.proj.in_features, dim=-1)
        matrix = (q @ k.transpose(1, 2) / sqrt(x.shape[-1])).softmax(dim=-1)
    else:
        k, q, v = attention.kqv(x).split(attention.proj.in_features, dim=-1)
        phi_q, phi_k = (
            torch.exp(z @ attention.w.T - z.norm(dim=-1, keepdim=True) ** 2 / 2)
            / sqrt(len(attention.w))
            for z in (q, k)
        )
        kernel = phi_q @ phi_k.transpose(1, 2)
        matrix = kernel / (kernel.sum(dim=-1, keepdim=True) + 1e-8)
    return v + attention.proj(matrix @ v)


def explicit_stem(stem: T2TStem, pictures: Tensor) -> Tensor:
    """What a stem makes of images whose sides are multiples of 16."""
    maps, (height, width) = pictures, pictures.shape[2:]
    for stride, split, layer in (
        (4, (7, 4, 2), stem.attention1),
        (8, (3, 2, 1), stem.attention2),
    ):
        x = explicit_split(maps, *split)
        x = explicit_attention(layer.attn, F.layer_norm(x, x.shape[-1:], *layer.ln1.parameters()))
        normed = F.layer_norm(x, x.shape[-1:], *layer.ln2.parameters())
        x = x + layer.ffn.layers[1](F.gelu(layer.ffn.layers[0][0](normed)))
        maps = x.transpose(1, 2).unflatten(2, (height // stride, width // stride))
    return stem.projection(explicit_split(maps, 3, 2, 1))


class Largest(TorchDispatchMode):
    """Counts the numbers of the largest tensor that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return out


@pytest.mark.parametrize('split', [(7, 4, 2), (3, 2, 1)])
def test_a_soft_split_makes_a_token_of_each_square(split):
    found, grid = soft_split(images(16, 24), *split)

    torch.testing.assert_close(found, explicit_split(images(16, 24), *split), rtol=0, atol=0)
    assert grid == (16 // split[1], 24 // split[1])


# With the largest, kernels are as small as the 1e-8 beside them.
@pytest.mark.parametrize('std', [0.1, 0.4, 0.8])
@pytest.mark.parametrize('kind', [PerformerAttention, SoftmaxAttention])
def test_attention_is_that_of_the_full_matrix(kind, std):
    torch.manual_seed(0)
    attention = kind(12, 8)
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=std)

    found = attention(tokens())

    torch.testing.assert_close(found, explicit_attention(attention, tokens()), rtol=1e-4, atol=1e-5)


def test_a_query_that_is_far_from_every_key_gets_nothing():
    attention = PerformerAttention(12, 8)
    nn.init.normal_(attention.kqv.weight, std=10)
    nn.init.zeros_(attention.proj.bias)

    found = attention(tokens())

    torch.testing.assert_close(found, attention.kqv(tokens())[..., 16:], rtol=0, atol=1e-3)


@pytest.mark.parametrize('kind', KINDS)
def test_the_stem_is_its_formulas(kind):
    stem = build(kind)

    found, _ = stem(images(32, 48))

    torch.testing.assert_close(found, explicit_stem(stem, images(32, 48)), rtol=1e-4, atol=1e-4)


def test_random_features_are_orthogonal_and_as_long_as_their_number_says():
    attention = PerformerAttention(147, 64)

    assert attention.w.shape == (32, 64)
    torch.testing.assert_close(attention.w @ attention.w.T, 32 * torch.eye(32), rtol=0, atol=1e-4)


def test_random_features_are_a_kernel_of_distance_on_average():
    # What the docstring says of the released length of W, and that of Performer beside it.
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 64, generator=generator).mul(0.15)
    torch.manual_seed(0)
    kernels = []
    for _ in range(2000):
        attention = PerformerAttention(1, 64)
        kernels.append((attention._features(q) * attention._features(k)).mean())

    expected = torch.exp(-(q - k).square().sum() / 4)
    torch.testing.assert_close(torch.stack(kernels).mean(), expected, rtol=0.03, atol=0)
    assert abs(expected - torch.exp((q * k).sum())) > 0.2


def test_random_features_do_not_learn_and_are_kept():
    attention = PerformerAttention(12, 8)

    assert 'w' in attention.state_dict()
    assert 'w' not in dict(attention.named_parameters())
    assert not attention.w.requires_grad


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    ('size', 'grid'),
    [((48, 48), (3, 3)), ((33, 70), (3, 5)), ((17, 16), (2, 1)), ((1, 5), (1, 1))],
)
def test_every_image_has_its_grid(kind, size, grid):
    found, found_grid = build(kind)(images(*size))

    assert found_grid == grid
    assert found.shape == (2, grid[0] * grid[1], 24)


def test_images_are_padded_with_zeros_at_the_bottom_and_right():
    stem, padded = build(), torch.zeros(2, 3, 48, 64)
    padded[:, :, :34, :50] = images(34, 50)

    torch.testing.assert_close(stem(images(34, 50))[0], stem(padded)[0], rtol=0, atol=0)


@pytest.mark.parametrize('kind', KINDS)
def test_no_matrix_of_all_tokens_is_formed(kind):
    stem, (height, width) = build(kind, token_dims=8), (96, 128)
    first = height // 4 * (width // 4)

    with Largest() as largest:
        out, _ = stem(images(height, width, batch=1))
        out.sum().backward()

    # The largest that there has to be are the first tokens.
    assert largest.numbers == first * 147 < first**2


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_reach_every_parameter(kind):
    stem = build(kind).train()

    (stem(images())[0] * torch.randn(2, 9, 24)).sum().backward()

    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in stem.parameters())


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision_stays_close(kind, dtype):
    stem = build(kind)

    with torch.autocast('cpu', dtype):
        mixed, _ = stem(images())

    exact, _ = stem(images())
    assert (mixed.float() - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_features_too_large_for_float16_are_kept_under_mixed_precision():
    # φ(k) has its maximum, exp(m/2)/√m, where a key is a row of W: above 65504 for m = 32.
    attention = PerformerAttention(64, 64)
    nn.init.zeros_(attention.kqv.bias)
    with torch.no_grad():
        attention.kqv.weight.copy_(torch.eye(64).repeat(3, 1))
    x = attention.w[None, :3].clone()

    with torch.autocast('cpu', torch.float16):
        found = attention(x)

    assert found.isfinite().all()
    torch.testing.assert_close(found.float(), attention(x), rtol=0, atol=2e-2)


def test_double_precision_is_not_lowered():
    attention = PerformerAttention(6, 4).double()
    x = torch.randn(1, 5, 6, dtype=torch.double, requires_grad=True)

    assert torch.autograd.gradcheck(attention, (x,))


# Of the released code, where neither can be set.
@pytest.mark.parametrize(('kind', 'rate'), [('performer', 0.1), ('transformer', 0.0)])
def test_layers_drop_as_the_released_ones_do(kind, rate):
    stem = build(kind)

    for layer in (stem.attention1, stem.attention2):
        assert layer.attn.out_drop.p == layer.ffn.dropout_layer.p == rate
        # None between the linear maps.
        assert {m.p for m in layer.ffn.layers.modules() if isinstance(m, nn.Dropout)} == {0.0}


def test_the_rate_of_dropout_can_be_set():
    stem = build(drop_rate=0.3)

    assert stem.attention2.attn.out_drop.p == stem.attention2.ffn.dropout_layer.p == 0.3


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(patch_size=8), 'patch_size 8 is not 16, .* use 16, or the stem PatchStem'),
        (dict(token_layer='linear'), r"token_layer 'linear' is unknown; use one of \('performer'"),
        (dict(token_layer=['performer']), r"token_layer \['performer'\] is unknown"),
        (dict(token_dims=1), 'token_dims 1 is not a whole number from 2 up'),
        (dict(token_dims=64.0), 'token_dims 64.0 is not a whole number'),
        (dict(drop_rate=1.0), 'drop_rate 1.0 is not a probability'),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        T2TStem(3, 24, **options)
