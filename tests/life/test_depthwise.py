"""The depthwise convolution against torch's own, in value and gradients."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from mmtoken.life import depthwise
from mmtoken.life.depthwise import DepthwiseConv2d
from mmtoken.vit.second_gradients import expecting_second_gradients


def convolution(kernel_size: int = 5, **factory) -> DepthwiseConv2d:
    torch.manual_seed(0)
    return DepthwiseConv2d(6, kernel_size).to(**factory)


def grid_view(height: int, width: int, **factory) -> Tensor:
    """Token features as a projection hands them over: channels-last in memory."""
    x = torch.randn(2, height * width, 6, **factory)
    return x.unflatten(1, (height, width)).permute(0, 3, 1, 2).requires_grad_()


def plain(module: DepthwiseConv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, module.weight, padding=module.padding, groups=module.groups)


def gradients(module: DepthwiseConv2d, x: Tensor, output: Tensor) -> tuple[Tensor, ...]:
    """Those of the input and of the kernel, for a fixed random gradient of the output."""
    grad = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
    return torch.autograd.grad(output, (x, module.weight), grad)


@pytest.mark.parametrize('kernel_size', [1, 3, 5, 7, 9])
@pytest.mark.parametrize('grid', [(6, 6), (5, 8), (1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize('layout', [torch.channels_last, torch.contiguous_format])
def test_outputs_and_gradients_are_those_of_torch(kernel_size, grid, layout):
    module = convolution(kernel_size, dtype=torch.double)
    x = grid_view(*grid, dtype=torch.double)
    inner = x.contiguous(memory_format=layout)

    ours, theirs = module(inner), plain(module, inner)

    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(gradients(module, x, ours), gradients(module, x, theirs))


@pytest.mark.parametrize('kernel_size', [3, 5])
@pytest.mark.parametrize('expected', [False, True])
def test_first_and_second_gradients_agree_with_finite_differences(kernel_size, expected):
    module = DepthwiseConv2d(2, kernel_size).double()
    x = torch.randn(1, 2, 4, 3, dtype=torch.double, requires_grad=True)

    def function(x: Tensor, weight: Tensor) -> Tensor:
        with expecting_second_gradients() if expected else nullcontext():
            return functional_call(module, {'weight': weight}, x)

    assert torch.autograd.gradcheck(function, (x, module.weight))
    assert torch.autograd.gradgradcheck(function, (x, module.weight))


class Convolutions(TorchDispatchMode):
    """Counts those that run, forwards and back."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 'convolution' in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('kernel_size', [3, 5])
def test_second_gradients_take_no_convolution_for_each_channel(kernel_size):
    def convolutions(channels: int) -> int:
        module = DepthwiseConv2d(channels, kernel_size)
        x = torch.randn(2, channels, 5, 5, requires_grad=True)
        with Convolutions() as ran:
            with expecting_second_gradients():
                output = module(x)
            (grad,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
            grad.square().sum().backward()
        return ran.count

    assert convolutions(16) == convolutions(2)


@pytest.mark.parametrize(('device', 'slices'), [('cpu', 2), ('meta', 1)])
def test_columns_are_taken_apart_on_cpus_alone(device, slices):
    module, x = convolution(5, device=device), grid_view(5, 8, device=device)
    with expecting_second_gradients():
        output = module(x)
    with Convolutions() as ran:
        gradient = torch.autograd.grad(output.sum(), module.weight)[0]

    assert gradient.shape == module.weight.shape
    # Beside that of the input.
    assert ran.count == 1 + slices


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('compiled', [False, True])
def test_autocast_convolves_in_its_type_and_returns_gradients_of_the_parameters(dtype, compiled):
    module, x = convolution(), grid_view(5, 8)
    run = torch.compile(module, backend='aot_eager', fullgraph=True) if compiled else module

    with torch.autocast('cpu', dtype):
        ours, theirs = run(x), plain(module, x)

    assert ours.dtype == dtype
    found = gradients(module, x, ours)
    assert [grad.dtype for grad in found] == [torch.float32] * 2
    precision = 4 * torch.finfo(dtype).eps
    for grad, wanted in zip(found, gradients(module, x, theirs), strict=True):
        assert (grad - wanted).abs().max() <= precision * wanted.abs().max()


def test_a_compiled_graph_has_the_same_gradients_on_every_grid():
    module = convolution()
    compiled = torch.compile(module, backend='aot_eager', fullgraph=True, dynamic=True)

    for grid in ((5, 8), (6, 3)):
        x = grid_view(*grid)
        ours = gradients(module, x, compiled(x))
        torch.testing.assert_close(ours, gradients(module, x, plain(module, x)))


@pytest.mark.parametrize('use_reentrant', [False, True])
def test_activation_checkpointing_leaves_the_gradients_unchanged(use_reentrant):
    module, x = convolution(), grid_view(5, 8)

    def grads(output: Tensor) -> list[Tensor]:
        x.grad = module.weight.grad = None
        output.square().sum().backward()
        return [x.grad, module.weight.grad]

    ours = grads(checkpoint(module, x, use_reentrant=use_reentrant))

    torch.testing.assert_close(ours, grads(module(x)))


def test_an_input_or_kernel_that_does_not_learn_costs_no_gradient():
    module, x = convolution(), grid_view(5, 8)

    module(x.detach()).sum().backward()
    assert module.weight.grad is not None
    module.requires_grad_(False)
    module(x).sum().backward()
    assert x.grad is not None


def test_a_traced_graph_has_a_plain_convolution():
    traced = torch.jit.trace(convolution(), torch.randn(1, 6, 4, 4))

    assert 'aten::_convolution' in str(traced.graph)


@pytest.fixture
def unknown_torch() -> Iterator[None]:
    """As in a new process, which has not tried what the installed torch has."""
    depthwise._columns_agree.cache_clear()
    yield
    depthwise._columns_agree.cache_clear()


def gone(*_):
    raise AttributeError('no such function')


def slightly_more(*args):
    found = BACKWARD(*args)
    return [None if grad is None else grad * 1.001 for grad in found]


BACKWARD = torch.ops.aten.convolution_backward


def takes_columns(output: Tensor) -> bool:
    return 'ColumnwiseGradient' in output.grad_fn.name()


def test_the_installed_torch_trains_in_columns(unknown_torch):
    assert takes_columns(convolution()(grid_view(5, 8)))


def test_a_kernel_that_torch_is_fast_at_is_left_to_it():
    module, x = convolution(3), grid_view(5, 8)
    with expecting_second_gradients():
        assert takes_columns(module(x))
    assert not takes_columns(module(x))


@pytest.mark.parametrize('changed', [gone, slightly_more])
def test_a_private_function_that_is_gone_or_another_is_not_used(
    monkeypatch, unknown_torch, changed
):
    monkeypatch.setattr(torch.ops.aten, 'convolution_backward', changed)
    module, x = convolution(), grid_view(5, 8)

    output = module(x)

    assert not takes_columns(output)
    torch.testing.assert_close(gradients(module, x, output), gradients(module, x, plain(module, x)))


def test_columns_are_tried_inside_activation_checkpointing_too(unknown_torch):
    module, x = convolution(), grid_view(5, 8)

    output = checkpoint(module, x, use_reentrant=False)

    expected = torch.autograd.grad(plain(module, x).square().sum(), module.weight)
    output.square().sum().backward()
    torch.testing.assert_close(module.weight.grad, *expected)
