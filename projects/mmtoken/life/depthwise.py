"""A depthwise convolution that trains fast on CPUs with wide kernels, too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# oneDNN's fast weight gradient ends here: a 5×5 kernel takes 8 times as long as a 3×3 one.
_FAST_COLUMNS = 3


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` of stride 1, one odd square kernel a channel, zero padding and no bias.

    Where it trains on a CPU with a kernel wider than oneDNN is fast at, the kernel's gradient is
    taken for its three middle columns at once and for every other column alone, with the same
    result; all else is torch's own. Our design.

    Args:
        channels: Channels in and out.
        kernel_size: Side of the kernel, odd.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        wide = self.kernel_size[1] > _FAST_COLUMNS
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        # Tracers (torch.jit, ONNX) know convolutions, but not what a Function is made of.
        if wide and learns and x.device.type == 'cpu' and not torch.jit.is_tracing():
            return _ColumnwiseGradient.apply(x, self.weight)
        return super().forward(x)


class _ColumnwiseGradient(torch.autograd.Function):
    """A depthwise convolution whose kernel gets its gradient a few columns at a time."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        # Under autocast the convolution, and so its gradient, is narrower than what went in.
        x, weight = (saved.to(grad.dtype) for saved in ctx.saved_tensors)
        half, grad_x = weight.shape[-1] // 2, None
        if ctx.needs_input_grad[0]:
            # The convolution with the kernel turned round, which is faster than torch's gradient.
            grad_x = F.conv2d(grad, weight.flip(-2, -1), padding=half, groups=len(weight))
        reach = _FAST_COLUMNS // 2
        left = [_column_gradient(grad, x, weight, shift) for shift in range(-half, -reach)]
        right = [_column_gradient(grad, x, weight, shift) for shift in range(reach + 1, half + 1)]
        middle = weight[..., half - reach : half + reach + 1]
        middle = _kernel_gradient(grad, x, middle, (half, reach))
        return grad_x, torch.cat([*left, middle, *right], dim=-1)


def _column_gradient(grad: Tensor, x: Tensor, weight: Tensor, shift: int) -> Tensor:
    """The gradient of the column that reads what stands `shift` places to the right."""
    half, width = weight.shape[-1] // 2, x.shape[-1] - abs(shift)
    column = weight[..., half + shift, None]
    if width < 1:
        return torch.zeros_like(column)
    x, grad = x.narrow(-1, max(shift, 0), width), grad.narrow(-1, max(-shift, 0), width)
    return _kernel_gradient(grad, x, column, (half, 0))


def _kernel_gradient(grad: Tensor, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """torch's own gradient of a depthwise convolution's kernel."""
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, (1, 1), padding, (1, 1), False, (0, 0), len(weight),
        (False, True, False),
    )[1]  # fmt: skip
