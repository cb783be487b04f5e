"""The roll-out through the trace equals the explicit product, and never forms a matrix of it."""

import pytest
import torch
from explicit_attention import layers_of, pooling_matrix
from torch.utils._python_dispatch import TorchDispatchMode

from mmtoken.errors import UserError
from mmtoken.rollout import explicit_matrix, roll_back, token_rows
from mmtoken.rollout.capture import Step
from mmtoken.rollout.explicit import roll_back_explicitly
from mmtoken.rollout.transposed_attention import NUMBERS, transposed_attention
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


def steps_of(backbone, size=(20, 28)):
    """The layers of a backbone, and what enters them for a random image."""
    torch.manual_seed(0)
    for name, parameter in backbone.named_parameters():
        if 'qkv' in name:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        return [Step(*found) for found in layers_of(backbone, torch.randn(1, 3, *size))]


def backbone_of(projection='LinearProjection', **kwargs):
    settings = dict(out_type='raw', num_aux_tokens=1, projection=dict(type=projection)) | kwargs
    return TokenViT(ARCH, (20, 28), 4, **settings).eval()


def written_out(step, fuse=torch.mean):
    """½(Ā + I) of one layer, entry by entry; rows of fused heads scaled to the sum 1."""
    if step.is_pool:
        return pooling_matrix(step.tokens.grid, step.tokens.num_aux)
    attention, tokens = step.layer.attn, step.tokens
    q, k, _ = attention.qkv(tokens.with_(x=step.layer.ln1(tokens.x)))
    count, d = q.shape[1], q.shape[2] // attention.num_heads
    size = attention.window_size

    def window(place):
        row, column = divmod(place - tokens.num_aux, tokens.grid[1])
        return row // size, column // size

    heads = torch.zeros(attention.num_heads, count, count)
    for head in range(attention.num_heads):
        part = slice(head * d, head * d + d)
        for i in range(count):
            keys = [
                j
                for j in range(count)
                if not size or min(i, j) < tokens.num_aux or window(i) == window(j)
            ]
            scores = k[0, keys, part] @ q[0, i, part] / d**0.5
            heads[head, i, keys] = scores.softmax(0)
    fused = fuse(heads, dim=0)
    return (fused / fused.sum(1, keepdim=True) + torch.eye(count)) / 2


@pytest.mark.parametrize('projection', ['LinearProjection', 'LIFEProjection'])
@pytest.mark.parametrize('window', [0, 3])
@pytest.mark.parametrize('num_aux', [0, 1, 2])
@torch.no_grad()
def test_rolling_back_is_the_explicit_product(projection, window, num_aux):
    backbone = backbone_of(
        projection, window_size=window, global_attn_indexes=(1,), num_aux_tokens=num_aux
    )
    steps = steps_of(backbone)
    weights = torch.rand(3, num_aux + 35)

    rolled = roll_back(steps, weights)

    first, second, third = (written_out(step) for step in steps)
    torch.testing.assert_close(rolled, weights @ third @ second @ first, rtol=0, atol=1e-5)


@pytest.mark.parametrize('projection', ['LinearProjection', 'LIFEProjection'])
@pytest.mark.parametrize('window', [0, 3])
@torch.no_grad()
def test_a_pooled_backbone_is_rolled_back_onto_all_its_patches(projection, window):
    steps = steps_of(backbone_of(projection, window_size=window, pool_before=(1, 2)))
    # 5x7 patches become 3x4 and 2x2.
    weights = torch.rand(3, 1 + 4)

    rolled = roll_back(steps, weights)

    expected = weights
    for step in reversed(steps):
        expected = expected @ written_out(step)
    assert len(steps) == 5
    torch.testing.assert_close(rolled, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('dtype', 'precision'), [(torch.double, 1e-6), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize('window', [0, 3])
def test_sets_of_another_type_than_the_model_are_rolled_back(dtype, precision, window):
    steps = steps_of(backbone_of(window_size=window))
    weights = torch.rand(3, 36)
    expected = roll_back(steps, weights)

    cast = [Step(step.layer.to(dtype), step.tokens.with_(x=step.tokens.x.to(dtype)))
            for step in steps]  # fmt: skip
    rolled = roll_back(cast, weights)

    assert rolled.dtype == torch.float32
    torch.testing.assert_close(rolled, expected, rtol=0, atol=precision)


@pytest.mark.parametrize('window', [0, 3])
@pytest.mark.parametrize('pool_before', [(), (1,)])
def test_the_explicit_path_forms_the_same_matrices(window, pool_before):
    for step in steps_of(backbone_of(window_size=window, pool_before=pool_before)):
        with torch.no_grad():
            expected = written_out(step)

        torch.testing.assert_close(explicit_matrix(step), expected, rtol=0, atol=1e-6)


def test_more_sets_than_one_call_carries_are_rolled_back_alike():
    steps = steps_of(backbone_of())
    weights = torch.rand(70, 36)

    rolled = roll_back(steps, weights)

    torch.testing.assert_close(rolled[69:], roll_back(steps, weights[69:]), rtol=0, atol=1e-6)


def test_rows_forward_are_those_backward_at_every_depth():
    steps = steps_of(backbone_of(num_aux_tokens=2), (40, 36))
    depths = [torch.zeros(92, 92) for _ in steps]

    for places, columns in token_rows(steps):
        for depth, part in zip(depths, columns, strict=True):
            depth[:, places] = part

    for last, depth in enumerate(depths):
        expected = roll_back(steps[: last + 1], torch.eye(92))
        torch.testing.assert_close(depth, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(('fusion', 'fuse'), [('min', torch.amin), ('max', torch.amax)])
@pytest.mark.parametrize('window', [0, 3])
def test_heads_are_fused_by_their_least_or_their_most(fusion, fuse, window):
    for step in steps_of(backbone_of(window_size=window)):
        with torch.no_grad():
            expected = written_out(step, fuse)

        torch.testing.assert_close(explicit_matrix(step, fusion), expected, rtol=0, atol=1e-6)


def test_a_token_whose_heads_share_no_key_looks_at_itself():
    step = steps_of(backbone_of())[0]
    with torch.no_grad():
        for parameter in step.layer.attn.qkv.parameters():
            parameter.mul_(1000)

    matrix = explicit_matrix(step, 'min')

    assert (matrix == torch.eye(36)).all(1).any()
    torch.testing.assert_close(matrix.sum(1), torch.ones(36))


def test_inference_mode_changes_nothing():
    steps, weights = steps_of(backbone_of(window_size=3)), torch.rand(2, 36)
    expected = roll_back(steps, weights)

    with torch.inference_mode():
        entered = [Step(step.layer, step.tokens.with_(x=step.tokens.x.clone())) for step in steps]
        rolled = roll_back(entered, weights.clone())

    torch.testing.assert_close(rolled, expected)


def test_discarding_keeps_the_strongest_weights_of_each_row():
    step = steps_of(backbone_of())[0]

    discarded = 2 * explicit_matrix(step, discard_ratio=0.5) - torch.eye(36)

    kept = 2 * explicit_matrix(step) - torch.eye(36)
    assert ((discarded > 1e-6).sum(-1) == 18).all()
    strongest = kept.topk(18).indices.sort().values
    assert torch.equal(discarded.topk(18).indices.sort().values, strongest)


@pytest.mark.parametrize(
    ('options', 'message'),
    [(('median', 0.0), "head_fusion 'median'"), (('mean', 1.0), 'discard_ratio 1.0')],
)
def test_unknown_fusions_and_ratios_are_named(options, message):
    steps = steps_of(backbone_of())

    with pytest.raises(UserError, match=message):
        roll_back_explicitly(steps, torch.rand(1, 36), *options)


class Largest(TorchDispatchMode):
    """Records the largest tensor that any operation returns, in numbers."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.count = max(self.count, tensor.numel())
        return out


def test_rows_are_found_without_a_matrix_of_all_pairs_of_tokens():
    steps = steps_of(backbone_of(), (96, 96))

    with Largest() as largest:
        next(token_rows(steps))

    # The values and 64 traced channels of three heads are 124,632 numbers.
    assert largest.count < 577**2 / 2


@pytest.mark.parametrize('numbers', NUMBERS.values())
def test_blocks_take_a_fifth_of_the_explicit_memory(monkeypatch, numbers):
    # On the device 'meta' there are sizes alone; 4,097 tokens of three heads.
    monkeypatch.setitem(NUMBERS, 'cuda', numbers)
    q, k, values = (torch.empty(1, 3, 4097, width, device='meta') for width in (64, 64, 8))

    with Largest() as block:
        transposed_attention(q, k, values, None)

    assert block.count <= 3 * 4097**2 / 5


def test_no_matrix_of_all_pairs_of_tokens_is_formed(monkeypatch):
    # 577 tokens of 24 channels: all pairs are 332,929 numbers, the MLP's hidden ones 27,696.
    monkeypatch.setitem(NUMBERS, 'cpu', 2**14)
    steps = steps_of(backbone_of(), (96, 96))
    weights = torch.rand(2, 577)

    with Largest() as implicit:
        roll_back(steps, weights)
    with Largest() as explicit:
        roll_back_explicitly(steps, weights, 'mean', 0.0)

    assert explicit.count == 3 * 577**2
    assert implicit.count <= 577**2 / 5
