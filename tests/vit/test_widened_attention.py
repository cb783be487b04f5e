"""Attention to values and channels beside them: exact, and gradients of the values alone."""

from collections.abc import Iterator

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from mmtoken.vit import traced_attention
from mmtoken.vit import widened_attention as module
from mmtoken.vit.widened_attention import widened_attention


def tensors(queries=7, keys=9, width=6, dtype=torch.float32):
    """q, k and v that require gradients, and three channels that do not."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, queries, width), (2, 3, keys, width), (2, 3, keys, width), (2, 3, keys, 3)]
    q, k, v, extra = (torch.randn(s, generator=generator, dtype=dtype) for s in shapes)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), extra


def explicit(q, k, values, mask=None):
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ values


MASK = torch.tensor([[[[True] * 6 + [False] * 3]]])


@pytest.mark.parametrize('mask', [None, MASK], ids=['all keys', 'some keys'])
@pytest.mark.parametrize('backend', [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])
def test_values_channels_and_gradients_are_those_of_explicit_attention(mask, backend):
    q, k, v, extra = tensors()
    with sdpa_kernel([backend, SDPBackend.MATH]):
        out, beside = widened_attention(q, k, v, extra, mask)
        weight = torch.randn(out.shape)
        (out * weight).sum().backward()
    found = [t.grad for t in (q, k, v)]

    expected = explicit(q, k, v, mask)
    gradients = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(beside, explicit(q, k, extra, mask).detach())
    for ours, theirs in zip(found, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('mask', [None, MASK], ids=['all keys', 'some keys'])
def test_channels_without_gradient_have_none_from_q_and_k(mask):
    _, beside = widened_attention(*tensors(), mask)

    assert not beside.requires_grad


def test_values_of_another_width_are_attended_to():
    q, k, v, extra = tensors()

    out, beside = widened_attention(q, k, v[..., :0], extra)

    assert out.shape == (2, 3, 7, 0)
    torch.testing.assert_close(beside, explicit(q, k, extra).detach())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('sharpness', [0.3, 1.0, 2.0])
def test_trace_of_twelve_layers_keeps_a_thousandth_in_half_the_bits(dtype, sharpness):
    generator = torch.Generator().manual_seed(0)
    trace = (torch.rand(2, 150, 1, generator=generator) < 0.4).float()
    exact = trace
    for _ in range(12):
        q, k = (
            (sharpness * torch.randn(2, 3, 150, 64, generator=generator)).to(dtype)
            for _ in range(2)
        )
        trace = 0.5 * (traced_attention(q, k, q, trace)[1] + trace)
        attended = explicit(q.float(), k.float(), exact.unsqueeze(1)).mean(1)
        exact = 0.5 * (attended + exact)

    assert trace.dtype == torch.float32
    torch.testing.assert_close(trace, exact, rtol=0, atol=1e-3)


KERNEL = '_scaled_dot_product_flash_attention_for_cpu'


@pytest.fixture
def unknown_torch() -> Iterator[None]:
    """As in a new process, which has not tried what the installed torch has."""
    module._narrowing_agrees.cache_clear()
    yield
    module._narrowing_agrees.cache_clear()


def gone(*_, **__):
    raise AttributeError('no such function')


def slightly_more(name):
    """A private function whose first output is a thousandth larger."""
    function = getattr(torch.ops.aten, name)

    def changed(*args, **kwargs):
        first, *rest = function(*args, **kwargs)
        return first * 1.001, *rest

    return changed


def is_narrow(*inputs):
    return 'NarrowBackward' in widened_attention(*inputs)[0].grad_fn.name()


def test_the_installed_torch_trains_by_the_narrow_backward_pass(unknown_torch):
    assert is_narrow(*tensors())


@pytest.mark.parametrize('name', [KERNEL, f'{KERNEL}_backward'])
@pytest.mark.parametrize('change', [lambda name: gone, slightly_more])
def test_private_functions_that_are_gone_or_others_are_not_used(
    monkeypatch, unknown_torch, name, change
):
    monkeypatch.setattr(torch.ops.aten, name, change(name))
    q, k, v, extra = tensors()

    out, beside = widened_attention(q, k, v, extra)

    assert not is_narrow(q, k, v, extra)
    torch.testing.assert_close(beside, explicit(q, k, extra).detach())
    expected = explicit(q, k, v)
    for ours, theirs in zip(
        torch.autograd.grad(out.square().sum(), (q, k, v)),
        torch.autograd.grad(expected.square().sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_choice_of_kernel_that_cannot_be_asked_for_is_not(monkeypatch, unknown_torch):
    monkeypatch.delattr(torch, '_fused_sdp_choice')

    assert not is_narrow(*tensors())


def test_they_are_tried_once(monkeypatch, unknown_torch):
    is_narrow(*tensors())
    monkeypatch.setattr(module, '_plain', gone)

    assert is_narrow(*tensors())


CONTEXTS = {
    'no gradients': torch.no_grad,
    'inference': torch.inference_mode,
    'autocast': lambda: torch.autocast('cpu', torch.bfloat16),
    'fake tensors': FakeTensorMode,
    'a forbidden kernel': lambda: sdpa_kernel(SDPBackend.MATH),
}


@pytest.mark.parametrize('context', CONTEXTS.values(), ids=CONTEXTS)
def test_they_agree_wherever_they_are_tried(unknown_torch, context):
    state = torch.get_rng_state()

    with context():
        assert module._narrowing_agrees()

    assert torch.equal(torch.get_rng_state(), state)


def test_fake_tensors_go_the_same_way(unknown_torch):
    with FakeTensorMode() as mode:
        inputs = [mode.from_tensor(t) for t in tensors()]
        out, beside = widened_attention(*inputs)
        gradients = torch.autograd.grad(out.sum(), inputs[:3])

    assert (out.shape, beside.shape) == ((2, 3, 7, 6), (2, 3, 7, 3))
    assert [g.shape for g in gradients] == [t.shape for t in inputs[:3]]


def test_they_are_tried_inside_activation_checkpointing_too(unknown_torch):
    q, k, v, extra = tensors()

    out, _ = checkpoint(widened_attention, q, k, v, extra, use_reentrant=False)
    out.square().sum().backward()

    expected = torch.autograd.grad(explicit(q, k, v).square().sum(), (q, k, v))
    for ours, theirs in zip((q, k, v), expected, strict=True):
        torch.testing.assert_close(ours.grad, theirs, rtol=1e-4, atol=1e-5)
