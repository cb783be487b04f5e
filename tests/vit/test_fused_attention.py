"""The trace costs no call of its own where the values' type holds it."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmtoken.vit import TokenViT, traced_attention

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


class AttentionCalls(TorchDispatchMode):
    """Counts the fused attention calls, the forward ones."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = str(operation)
        self.count += 'scaled_dot_product' in name and 'backward' not in name
        return operation(*args, **(kwargs or {}))


def tensors(learns, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8, generator=generator, dtype=dtype)
    trace = torch.rand(2, 7, 2, generator=generator)
    return *(t.requires_grad_(learns) for t in (q, k, v)), trace


def count_calls(autocast, learns=False, dtype=torch.float32, **options):
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast), AttentionCalls() as calls:
        traced_attention(*tensors(learns, dtype), **options)
    return calls.count


@pytest.mark.parametrize('learns', [False, True])
@pytest.mark.parametrize('exact', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_a_type_that_holds_the_trace_takes_one_call(learns, exact, dtype):
    assert count_calls(False, learns, dtype, exact=exact) == 1


@pytest.mark.parametrize('learns', [False, True])
def test_an_exact_trace_beside_coarser_values_takes_a_call_of_its_own(learns):
    assert count_calls(True, learns, exact=True) == 2
    assert count_calls(False, learns, torch.bfloat16, exact=True) == 2
    assert count_calls(True, learns, exact=False) == 1


def test_an_exact_trace_is_that_of_full_precision():
    q, k, v, trace = tensors(learns=False)

    with torch.autocast('cpu', torch.bfloat16):
        _, exact = traced_attention(q, k, v, trace, exact=True)

    assert torch.equal(exact, traced_attention(q, k, v[..., :0], trace)[1])


@pytest.mark.parametrize('learns', [False, True])
def test_one_call_has_the_values_of_two(learns):
    q, k, v, trace = tensors(learns)

    out, mixed = traced_attention(q, k, v, trace, exact=True)

    torch.testing.assert_close(out, traced_attention(q, k, v)[0])
    torch.testing.assert_close(mixed, traced_attention(q, k, v[..., :0], trace)[1])


@pytest.mark.parametrize('window', [0, 2])
def test_a_backbone_in_full_precision_carries_an_exact_trace_in_its_own_calls(window):
    torch.manual_seed(0)
    backbone = TokenViT(ARCH, 16, 4, window_size=window).train()
    images, trace = torch.randn(2, 3, 16, 16), torch.rand(2, 17, 2)

    with AttentionCalls() as plain:
        backbone(images)
    with AttentionCalls() as traced:
        backbone(images, trace, exact_trace=True)

    assert plain.count == traced.count == (6 if window else 3)
