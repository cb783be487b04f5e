"""A depthwise convolution that trains fast on CPUs with wide kernels, and twice over, too."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtoken.vit.second_gradients import second_gradients_expected
from mmtoken.vit.trial import computes_the_same

# Up to here oneDNN's weight gradient is fast.
_FAST_COLUMNS = 3


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` of stride 1, one odd square kernel a channel, zero padding and no bias.

    Where it trains on a CPU with a kernel wider than oneDNN is fast at, the kernel's gradient is
    taken a few columns at a time, which is the same sum. Where its gradient is to be
    differentiated, as `expecting_second_gradients` says, that of its input is a convolution of its
    own, where torch's form ends in one convolution a channel. All else is torch's own. Our design.

    What it gains, on two busy threads of an AMD EPYC with torch 2.14.1, rounds interleaved: forward
    and back, a 5×5 kernel over 14×14 patches of 192 channels, batch 8, takes 1.66 ms (first
    quartile 1.45) where torch's own form takes 1.83 (1.70); of a training step of DeiT-T with LIFE
    that is less than a hundredth, too little to be seen in the step's own time. A training step of
    the digits' LIFE-ViT that is calibrated from its first layer on takes 0.87 of the processor time
    that it takes with torch's own form of the 3×3 kernels (quartiles of 10 rounds 0.76 and 0.96),
    and 480 convolutions the fewer.

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
        slow = x.is_cpu and self.kernel_size[1] > _FAST_COLUMNS
        if (slow or second_gradients_expected()) and _learns_eagerly(self.weight):
            return _ColumnwiseGradient.apply(x, self.weight)
        return super().forward(x)


def _learns_eagerly(weight: Tensor) -> bool:
    """Whether a kernel learns here, by the functions that were tried."""
    # Compilers and tracers know convolutions, but not what a Function is made of.
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return torch.is_grad_enabled() and weight.requires_grad and _columns_agree()


@functools.cache
def _columns_agree() -> bool:
    """Whether the installed torch's gradient, in slices, is that of a plain convolution."""
    shapes = (1, 2, 4, 6), (2, 1, 5, 5)
    return computes_the_same(_ColumnwiseGradient.apply, _convolve, shapes)


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))


class _ColumnwiseGradient(torch.autograd.Function):
    """A depthwise convolution whose kernel gets its gradient in slices of a few columns.

    Its gradient with respect to the input is a convolution like any other, and so differentiated
    once more without the loop over channels that torch has for that.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return _convolve(x, weight)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        # Under autocast the convolution, and so its gradient, is narrower than what went in.
        x, weight = (saved.to(grad.dtype) for saved in ctx.saved_tensors)
        pad, width = weight.shape[-1] // 2, grad.shape[-1]
        grad_x = None
        if ctx.needs_input_grad[0]:
            # The convolution with the kernel turned round, which is faster than torch's gradient.
            grad_x = F.conv2d(grad, weight.flip(-2, -1), padding=pad, groups=len(weight))
        # (B, C, H, W) → (B, C, H, W + 2·pad): kernel column j meets columns j … j + W − 1
        padded = F.pad(x, (pad, pad))
        slices = []
        at_once = _FAST_COLUMNS if grad.is_cpu else weight.shape[-1]
        for start in range(0, weight.shape[-1], at_once):
            part = weight[..., start : start + at_once]
            columns = padded[..., start : start + width + part.shape[-1] - 1]
            slices.append(_kernel_gradient(grad, columns, part, (pad, 0)))
        return grad_x, torch.cat(slices, dim=-1)


def _kernel_gradient(grad: Tensor, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """torch's own gradient of a depthwise convolution's kernel, which it has no public name for."""
    only = (False, True, False)
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, (1, 1), padding, (1, 1), False, (0, 0), len(weight), only
    )[1]
