"""Depth-wise convolution whose kernels are predicted from the image, the same at all positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batch_norms import build_batch_norm, check_values
from .reduction import reduced
from .window_sum import plain_window_sum


class HomogeneousConv(nn.Module):
    """The homogeneous dynamic depth-wise convolution (Han et al., arXiv 2106.04263): every image
    has kernels of its own, w = V₂ ReLU(BN(V₁ g)) + b₂ of its mean g. They are not normalized.

    Args:
        channels: C, a multiple of 4.
        kernel_size: k, odd.
        norm_cfg: Config of the batch norm, which sees one value of each channel and image.

    Raises:
        UserError: If the channels are no multiple of 4.
    """

    def __init__(self, channels: int, kernel_size: int, norm_cfg: dict | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        hidden = reduced(channels)
        self.conv1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.bn = build_batch_norm(norm_cfg, hidden)
        self.conv2 = nn.Conv2d(hidden, channels * kernel_size**2, 1)
        self.bias = nn.Parameter(torch.zeros(channels))

    def predict(self, x: Tensor) -> Tensor:
        """The kernels of each image, (B, C, H, W) → (B, C, k², 1, 1).

        Raises:
            UserError: If it trains on one image.
        """
        check_values(
            self.bn,
            x.shape[0],
            'the homogeneous kernel of DWNet averages each image to one value; give every device a '
            'batch of 2 or more images',
        )
        mean = x.mean(dim=(2, 3), keepdim=True)
        # (B, C·k², 1, 1) → (B, C, k², 1, 1)
        kernels = self.conv2(F.relu(self.bn(self.conv1(mean))))
        return kernels.unflatten(1, (-1, self.kernel_size**2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        kernels = self.predict(x)
        # A graph cannot have as many groups as a batch has images, if it is to take any batch; and
        # no convolution has none.
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or not len(x):
            summed = plain_window_sum(x, kernels, self.kernel_size)
            return summed + self.bias.to(summed.dtype)[:, None, None]
        batch, channels = x.shape[:2]
        # The images side by side, as groups of one convolution: (B, C, H, W) → (1, B·C, H, W)
        out = F.conv2d(
            x.reshape(1, batch * channels, *x.shape[2:]),
            kernels.reshape(batch * channels, 1, self.kernel_size, self.kernel_size),
            self.bias.repeat(batch),
            padding=self.kernel_size // 2,
            groups=batch * channels,
        )
        return out.view_as(x)
