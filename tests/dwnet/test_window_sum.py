"""The sum over windows against its formula by unfolding: values, gradients, types and memory."""

import io

import pytest
import torch
import torch.nn.functional as F
from live_bytes import peak_of
from torch import Tensor
from torch.export import Dim
from torch.utils.checkpoint import checkpoint

from mmtoken.dwnet.window_sum import plain_window_sum, window_sum


def unfolded(x: Tensor, weights: Tensor, kernel_size: int) -> Tensor:
    """The sheet's formula: unfold(x) times the weights, summed over the window."""
    batch, channels, *grid = x.shape
    groups, places = weights.shape[1:3]
    windows = F.unfold(x, kernel_size, padding=kernel_size // 2)
    # (B, C·k², H·W) → (B, G, C/G, k², H·W)
    windows = windows.view(batch, groups, channels // groups, places, -1)
    flat = weights.expand(*weights.shape[:3], *grid).reshape(batch, groups, 1, places, -1)
    return (windows * flat).sum(dim=3).view_as(x)


def drawn(kernel_size=3, grid=(5, 8), batch=2, channels=6, groups=3, dtype=torch.double):
    torch.manual_seed(0)
    x = torch.randn(batch, channels, *grid, dtype=dtype)
    weights = torch.randn(batch, groups, kernel_size**2, *grid, dtype=dtype)
    return x.requires_grad_(), weights.requires_grad_()


def gradients(output: Tensor, *learned: Tensor) -> tuple[Tensor, ...]:
    grad = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
    return torch.autograd.grad(output, learned, grad)


@pytest.mark.parametrize('operator', [window_sum, plain_window_sum])
@pytest.mark.parametrize('kernel_size', [1, 3, 7])
@pytest.mark.parametrize('grid', [(6, 6), (5, 8), (1, 1), (2, 3), (4, 1)])
def test_values_and_gradients_are_those_of_the_formula(operator, kernel_size, grid):
    x, weights = drawn(kernel_size, grid)

    found, expected = (f(x, weights, kernel_size) for f in (operator, unfolded))

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, x, weights), gradients(expected, x, weights))


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize(('channels', 'groups'), [(6, 1), (6, 6), (8, 2)])
def test_any_batch_and_number_of_groups(batch, channels, groups):
    x, weights = drawn(batch=batch, channels=channels, groups=groups)

    torch.testing.assert_close(window_sum(x, weights, 3), unfolded(x, weights, 3))


def test_weights_that_all_positions_share():
    x, weights = drawn(groups=6)
    weights = weights[..., :1, :1]

    torch.testing.assert_close(plain_window_sum(x, weights, 3), unfolded(x, weights, 3))


def test_first_and_second_gradients_agree_with_finite_differences():
    x, weights = drawn(grid=(2, 3), batch=1, channels=4, groups=2)

    assert torch.autograd.gradcheck(window_sum, (x, weights, 3))
    assert torch.autograd.gradgradcheck(window_sum, (x, weights, 3))


def test_any_memory_layout():
    x, weights = drawn()
    strided = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    # (B, G, k², H, W), as a convolution in channels-last memory leaves it
    last = weights.detach().flatten(1, 2).contiguous(memory_format=torch.channels_last)
    last = last.unflatten(1, (3, -1)).requires_grad_()
    assert not strided.is_contiguous() and not last.is_contiguous()

    found, expected = window_sum(strided, last, 3), window_sum(x, weights, 3)

    torch.testing.assert_close(found, expected)
    assert found.is_contiguous()
    torch.testing.assert_close(gradients(found, strided, last), gradients(expected, x, weights))


@pytest.mark.parametrize('operator', [window_sum, plain_window_sum])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_is_rounded_once(operator, dtype):
    x, weights = (t.detach().to(dtype).requires_grad_() for t in drawn(7, (9, 9)))
    exact_x, exact_weights = (t.detach().double().requires_grad_() for t in (x, weights))

    found, exact = operator(x, weights, 7), unfolded(exact_x, exact_weights, 7)

    assert found.dtype == dtype
    once = dict(rtol=torch.finfo(dtype).eps, atol=1e-5)
    torch.testing.assert_close(found.double(), exact, **once)
    if operator is window_sum:
        grads = torch.autograd.grad(found, (x, weights), torch.ones_like(found))
        wanted = torch.autograd.grad(exact, (exact_x, exact_weights), torch.ones_like(exact))
        assert [grad.dtype for grad in grads] == [dtype] * 2
        for grad, expected in zip(grads, wanted, strict=True):
            torch.testing.assert_close(grad.double(), expected, **once)


@pytest.mark.parametrize('operator', [window_sum, plain_window_sum])
def test_of_two_types_the_wider_one_comes_out_and_each_gets_its_own_gradient(operator):
    x, weights = drawn(dtype=torch.float32)
    narrow = weights.detach().bfloat16().requires_grad_()

    out = operator(x, narrow, 3)

    assert out.dtype == torch.float32
    assert [grad.dtype for grad in gradients(out, x, narrow)] == [torch.float32, torch.bfloat16]
    torch.testing.assert_close(out, unfolded(x, narrow.float(), 3))


def test_without_gradients_nothing_is_kept():
    x, weights = drawn()

    with torch.no_grad():
        found = window_sum(x, weights, 3)

    assert found.grad_fn is None
    torch.testing.assert_close(found, unfolded(x, weights, 3))


def test_what_does_not_learn_costs_no_gradient():
    x, weights = drawn()
    wanted = gradients(unfolded(x, weights, 3), x, weights)

    torch.testing.assert_close(gradients(window_sum(x, weights.detach(), 3), x), wanted[:1])
    torch.testing.assert_close(gradients(window_sum(x.detach(), weights, 3), weights), wanted[1:])


def test_activation_checkpointing_leaves_the_gradients_unchanged():
    x, weights = drawn()

    found = checkpoint(window_sum, x, weights, 3, use_reentrant=False)

    expected = gradients(window_sum(x, weights, 3), x, weights)
    torch.testing.assert_close(gradients(found, x, weights), expected)


@pytest.mark.parametrize('batch', [2, 4])
def test_it_takes_a_fraction_of_the_memory_of_unfolding(batch):
    """The first stage of I-D-DWNet-T, scaled by an eighth in channels and groups."""
    x, weights = drawn(7, (56, 56), batch, channels=12, groups=4, dtype=torch.float32)

    def forward(operator):
        with torch.no_grad():
            operator(x, weights, 7)

    def both_ways(operator):
        gradients(operator(x, weights, 7), x, weights)

    for run in (forward, both_ways):
        assert 4 * peak_of(lambda: run(window_sum)) <= peak_of(lambda: run(unfolded))  # noqa: B023


def test_both_ways_take_the_gradient_of_the_weights_and_a_few_maps():
    x, weights = drawn(7, (28, 28), channels=12, groups=4, dtype=torch.float32)

    peak = peak_of(lambda: gradients(window_sum(x, weights, 7), x, weights))

    # Padding to windows makes a map of 28×28 one of 34×34.
    assert peak <= weights.nbytes + 7 * 1.5 * x.nbytes


class Sum(torch.nn.Module):
    def forward(self, x, weights):
        return window_sum(x, weights, 3)


def test_a_compiled_graph_has_the_same_gradients_on_every_grid():
    compiled = torch.compile(Sum(), backend='aot_eager', fullgraph=True, dynamic=True)

    for grid in ((5, 8), (6, 3)):
        x, weights = drawn(grid=grid)
        found, expected = compiled(x, weights), unfolded(x, weights, 3)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(found, x, weights), gradients(expected, x, weights))


def test_an_exported_graph_takes_any_batch_and_grid():
    x, weights = (t.detach() for t in drawn())
    axes = (
        {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},
        {0: Dim.DYNAMIC, 3: Dim.DYNAMIC, 4: Dim.DYNAMIC},
    )
    exported = torch.export.export(Sum(), (x, weights), dynamic_shapes=axes).module()

    other = [t.detach() for t in drawn(grid=(7, 4), batch=3)]
    torch.testing.assert_close(exported(*other), unfolded(*other, 3))


def test_a_traced_graph_has_plain_operations_and_can_be_saved():
    x, weights = drawn()
    traced = torch.jit.trace(Sum(), (x, weights))

    torch.jit.save(traced, io.BytesIO())

    other = drawn(batch=3)
    torch.testing.assert_close(traced(*other), unfolded(*other, 3))
