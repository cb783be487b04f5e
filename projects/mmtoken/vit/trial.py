"""Try, on the installed torch, a fast form of a function against its plain one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def computes_the_same(
    fast: Callable[..., Tensor | tuple[Tensor, ...]],
    plain: Callable[..., Tensor | tuple[Tensor, ...]],
    learned: Sequence[Sequence[int]],
    fixed: Sequence[Sequence[int]] = (),
) -> bool:
    """Whether a form that stands on private functions of torch can be used for the public one.

    A private function may be gone in the next torch, or be another. So both forms run on a few
    random numbers on the CPU; where outputs or gradients differ, or the fast form fails, it is not
    to be used. Ask once a process, since the answer stays the same.

    Args:
        fast: The form to try.
        plain: What it stands for; the first of its outputs has a gradient.
        learned: Shapes of the arguments that have gradients.
        fixed: Shapes of those after them, which have none.

    Returns:
        Whether they agree.
    """
    # In a thread of its own no mode of the caller's holds: autocast, inference, fake tensors, or
    # the hooks by which activation checkpointing counts what is saved.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_agree, fast, plain, learned, fixed).result()


def _agree(
    fast: Callable,
    plain: Callable,
    learned: Sequence[Sequence[int]],
    fixed: Sequence[Sequence[int]],
) -> bool:
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(*shape, generator=generator, device='cpu', dtype=torch.float32)
        for shape in (*learned, *fixed)
    ]
    learning = [t.requires_grad_() for t in inputs[: len(learned)]]
    expected = _outputs_and_gradients(plain, inputs, learning)
    try:
        found = _outputs_and_gradients(fast, inputs, learning)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    except Exception:  # What is gone or changed may fail in any way.
        return False
    return True


def _outputs_and_gradients(
    function: Callable, inputs: Sequence[Tensor], learning: Sequence[Tensor]
) -> list[Tensor]:
    outputs = function(*inputs)
    outputs = [outputs] if isinstance(outputs, Tensor) else [*outputs]
    return [*outputs, *torch.autograd.grad(outputs[0].square().sum(), learning)]
